"""No container engine is needed to know that the image's parts fit each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from backend import config
from backend.config import Catalogue

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
CATALOGUE = Catalogue(("sentence", "ngram"), ("linear",), strategy=str)
BASH = shutil.which("bash")

pytestmark = pytest.mark.skipif(BASH is None, reason="bash is not installed")


def install(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BASH, str(DOCKER / "install.sh"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], **environment},
    )


def steps(*arguments: str, **environment: str) -> list[str]:
    done = install("--dry-run", *arguments, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.removeprefix("+ ") for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def dockerfile():
    """Instructions with their arguments; continued lines are one."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def test_the_install_script_parses():
    assert subprocess.run([BASH, "-n", str(DOCKER / "install.sh")], timeout=30).returncode == 0


def test_a_dry_run_names_each_step_in_order_and_does_none(tmp_path):
    """PyTorch comes before what depends on it; the package comes from this checkout."""
    prefix, data = tmp_path / "env", tmp_path / "data"
    venv, torch, package, check, folder, *owner = steps(str(prefix), str(data))
    assert venv.endswith(f"-m venv {prefix}")
    assert re.search(r"pip install .*torch==[\d.]+$", torch)
    assert package.endswith(f"{ROOT}[postgresql]")
    assert check == f"{prefix}/bin/python -m pip check"
    assert folder == f"mkdir -p {data}"
    assert owner == ([f"chown 10001:10001 {data}"] if os.geteuid() == 0 else [])
    assert not list(tmp_path.iterdir())


def test_the_index_of_pytorch_is_a_choice(tmp_path):
    assert not any("--index-url" in step for step in steps(str(tmp_path)))
    _, torch, *others = steps(str(tmp_path), TORCH_INDEX="https://index.example/cpu")
    assert "--index-url https://index.example/cpu" in torch
    assert not any("--index-url" in step for step in others)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--dry-run",), ("a", "b", "c")])
def test_a_wrong_call_is_answered_with_the_usage(arguments):
    done = install(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: install.sh")
    assert done.stdout == ""


def test_the_checkout_is_installed_by_the_same_script(tmp_path):
    """So every run of the tests has run the image's steps, but for the link to the checkout."""
    assert "docker/install.sh --develop" in (ROOT / "Makefile").read_text(encoding="utf-8")
    image, checkout = steps(str(tmp_path)), steps("--develop", str(tmp_path))
    differing = [(a, b) for a, b in zip(image, checkout, strict=True) if a != b]
    assert len(differing) == 1
    assert differing[0][0].replace(f"{ROOT}[postgresql]", f"--editable {ROOT}[dev]") == differing[0][1]


def test_the_image_is_made_by_the_install_script_alone(dockerfile):
    runs = [argument for instruction, argument in dockerfile if instruction == "RUN"]
    assert [run.split()[-3:] for run in runs] == [["/src/docker/install.sh", "/opt/nextlabel", "/data"]]


def test_the_image_runs_as_nobody_in_particular_on_a_slim_python(dockerfile):
    said = dict(dockerfile)
    assert said["FROM"] == "python:3.11-slim"
    owner = re.search(r'OWNER="(.+)"', (DOCKER / "install.sh").read_text()).group(1)
    assert said["USER"] == owner
    assert said["VOLUME"] == "/data"
    assert yaml.safe_load(said["CMD"]) == ["nextlabel", "up"]
    assert "/health" in said["HEALTHCHECK"]


def test_the_build_sees_what_it_needs_and_nothing_else(dockerfile):
    """The list beside the Dockerfile lets in what is installed and copied; each of it is there."""
    allowed = re.findall(r"(?m)^!(.+)$", (DOCKER / "Dockerfile.dockerignore").read_text())
    copied = [argument.split()[0] for instruction, argument in dockerfile if instruction == "COPY"]
    assert set(copied) - {"."} <= set(allowed)
    assert {"backend", "strategies", "pyproject.toml", "docker/install.sh"} <= set(allowed)
    assert not any(name.endswith(".env") for name in allowed)


def test_compose_starts_nextlabel_once_label_studio_is_well(compose):
    services = compose["services"]
    assert services["nextlabel"]["depends_on"] == {"label-studio": {"condition": "service_healthy"}}
    assert "/health" in services["label-studio"]["healthcheck"]["test"][-1]
    build = services["nextlabel"]["build"]
    assert (DOCKER / build["context"] / build["dockerfile"]).resolve() == DOCKER / "Dockerfile"


def test_compose_lets_label_studio_call_a_private_address_but_not_every_one(compose):
    """Without the switch, Label Studio from 1.23.1 on drops each webhook to nextlabel."""
    environment = compose["services"]["label-studio"]["environment"]
    assert environment["USE_DEFAULT_BANNED_SUBNETS"] == "false"
    assert "169.254.0.0/16" in environment["USER_ADDITIONAL_BANNED_SUBNETS"].split(",")


def test_what_has_to_last_lies_in_volumes(compose):
    mounts = [mount for service in compose["services"].values() for mount in service["volumes"]]
    named = {mount.split(":")[0] for mount in mounts if not mount.startswith(".")}
    assert named == set(compose["volumes"])
    assert "nextlabel:/data" in mounts


def test_secrets_come_from_the_env_file_and_have_no_value_here(compose):
    """Whatever compose.yaml asks for is listed in .env.example, and passwords and tokens are empty there."""
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    listed = dict(re.findall(r"(?m)^(\w+)=(.*)$", (DOCKER / ".env.example").read_text(encoding="utf-8")))
    assert set(re.findall(r"\$\{(\w+)", text)) == set(listed)
    secret = {name for name in listed if re.search("PASSWORD|KEY|TOKEN", name)}
    assert secret
    assert not any(listed[name] for name in secret)
    assert ".env" in (DOCKER / ".gitignore").read_text().split()
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|KEY|_USER_TOKEN", name):
                assert value.startswith("${")


def test_the_containers_config_is_valid_and_fits_compose(compose, dockerfile):
    """Read with exactly the environment that the container has."""
    set_by_image = dict(re.findall(r"(NEXTLABEL_\w+)=(\S+)", dict(dockerfile)["ENV"]))
    set_by_compose = dict.fromkeys(compose["services"]["nextlabel"]["environment"], "made-up")
    found = config.load(
        DOCKER / "nextlabel.yaml", catalogue=CATALOGUE, environment={**set_by_image, **set_by_compose}
    )
    assert found.label_studio.url == "http://label-studio:8080"
    assert found.web.public_url == "http://nextlabel:9090"
    assert found.web.host == "0.0.0.0"
    assert found.store.url == "sqlite:////data/nextlabel.db"
    assert found.secrets.label_studio_token is not None
    mounted = [mount.split(":") for mount in compose["services"]["nextlabel"]["volumes"]]
    assert ["./nextlabel.yaml", set_by_image["NEXTLABEL_CONFIG"], "ro"] in mounted
