"""The configuration is valid as a whole, or every error in it is told at once, and no secret ever is."""

from __future__ import annotations

import re
from email.message import EmailMessage
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from backend import config
from backend.config import Catalogue, Config, environment
from backend.config.scalars import number
from backend.config.types import MOST_RANDOM, PROJECT_SECTIONS, SECTIONS, Notify, ProjectConfig
from backend.config.yaml_file import _Loader
from backend.domain import ConfigError


def strategy(expression: str) -> object:
    if not re.match(r"auto|seals|margin|random|typicality", expression):
        raise ValueError(
            f'unknown strategy "{expression}"; expected one of auto, margin, random, seals, typicality'
        )
    return expression


def ngram_options(name, options):
    if options.keys() - {"low", "high"} and name == "ngram":
        raise ValueError(f"unknown option {sorted(options)}; expected low, high")


CATALOGUE = Catalogue(
    ("sentence", "ngram"),
    ("linear", "ridge"),
    strategy,
    encoder_options=ngram_options,
    targets=("auto", "ngram"),
)


@pytest.fixture
def read(tmp_path):
    def load(text: str = "", **environment: str) -> Config:
        file = tmp_path / "nextlabel.yaml"
        file.write_text(text, encoding="utf-8")
        return config.load(file, catalogue=CATALOGUE, environment=environment)

    return load


@pytest.fixture
def errors(read):
    def lines(text: str = "", **environment: str) -> list[str]:
        with pytest.raises(ConfigError) as error:
            read(text, **environment)
        return str(error.value).splitlines()

    return lines


def test_without_a_file_the_defaults_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = config.load(None, catalogue=CATALOGUE, environment={})
    assert found == Config()
    assert found.store.url == "sqlite:///.nextlabel/nextlabel.db"
    assert found.web.public_url == "http://127.0.0.1:9090"


def test_the_file_named_first_is_read(tmp_path, monkeypatch):
    """The argument goes before NEXTLABEL_CONFIG, and that before nextlabel.yaml in the current folder."""
    monkeypatch.chdir(tmp_path)
    assert config.find(None, {}) is None
    Path("nextlabel.yaml").touch()
    assert config.find(None, {}) == Path("nextlabel.yaml")
    assert config.find(None, {"NEXTLABEL_CONFIG": "a.yaml"}) == Path("a.yaml")
    assert config.find(Path("b.yaml"), {"NEXTLABEL_CONFIG": "a.yaml"}) == Path("b.yaml")


def test_the_sample_holds_the_defaults(read):
    assert read(config.sample()) == Config()


def test_the_sample_holds_the_defaults_when_every_comment_mark_is_taken_away(read):
    """What the sample says beside a key is what the key is without it; the example project stands apart."""
    text = re.sub(r"(?m)^  # (\w+: )", r"  \1", config.sample().split("\nprojects:")[0])
    assert {section: set(keys) for section, keys in yaml.safe_load(text).items()} == {
        section: set(kind.model_fields) for section, kind in SECTIONS.items()
    }
    assert read(text) == Config()


def test_the_samples_example_project_is_valid(read):
    head, tail = config.sample().split("\nprojects:")
    assert read(head + "\nprojects:" + tail.replace("  # ", "  ")).for_project(12).queue.size == 50


def test_the_sample_names_the_whole_chain_of_selection():
    assert "\n  strategy: auto\n" in config.sample()


def test_the_sample_names_every_secret():
    """But the older name of one."""
    named = set(re.findall(r"[A-Z]+_[A-Z_]+", config.sample().split("\nlabel_studio:")[0]))
    assert set(environment._SECRETS) - {"LABEL_STUDIO_ACCESS_TOKEN"} <= named


def test_the_table_has_one_row_for_each_key_and_nothing_is_undocumented():
    rows = config.table().splitlines()[2:]
    keys = [f"`{section}.{key}`" for section, kind in SECTIONS.items() for key in kind.model_fields]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == keys
    assert all(cell.strip() for row in rows for cell in row.strip("|").split(" | "))


def test_the_sections_listed_are_those_that_there_are():
    assert set(PROJECT_SECTIONS) == set(ProjectConfig.model_fields)
    assert set(SECTIONS) == set(Config.model_fields) - {"projects", "secrets"}


def test_every_error_is_told_at_once_with_its_path(errors):
    text = """
    queue: {size: 5, sise: 4, preannotate: "yes"}
    qeue: {}
    rounds: 5
    encoder: {name: sentense}
    selection: {strategy: margn, cold_start_labels: true}
    logging: {level: loud}
    projects: {12: {queue: {low: 3}}, ab: {}}
    """
    assert sorted(errors(text, NEXTLABEL_WEB_PORT="99999")) == sorted(
        [
            "queue.size: 5; expected a whole number from 10 to 300",
            "queue.sise: unknown key; expected one of size, low, audit_share, exploration_share, "
            'relabel_share, preannotate, seed; did you mean "size"?',
            'queue.preannotate: "yes"; expected true or false',
            "qeue: unknown section; expected one of label_studio, store, web, labels, encoder, proxy, "
            "target, selection, queue, rounds, budget, notify, media, logging, projects; "
            'did you mean "queue"?',
            "rounds: 5; expected keys below it: new_labels, pause_seconds, poll_seconds, "
            "poll_seconds_with_webhook, lease_seconds, reconcile_minutes",
            'encoder.name: "sentense"; expected one of sentence, ngram; did you mean "sentence"?',
            'selection.strategy: unknown strategy "margn"; '
            "expected one of auto, margin, random, seals, typicality",
            "selection.cold_start_labels: true; expected a whole number from 0 to 1000",
            'logging.level: "loud"; expected one of debug, info, warning, error',
            "projects.12.queue.low: 3; expected a number from 0.05 to 1",
            "projects.ab: not a project; expected its number, as in {12: ...}",
            "NEXTLABEL_WEB_PORT (web.port): 99999; expected a whole number from 1 to 65535",
        ]
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("size: 50", 'size: unknown section; .*did you mean "queue.size"'),
        ("label_studio: {url: localhost}", 'label_studio.url: "localhost"; expected an http'),
        ("store: {url: 'mysql://h/d'}", "store.url: .*expected sqlite:///"),
        ("store: {home: 5}", "store.home: 5; expected a folder"),
        ("encoder: {options: 5}", "encoder.options: 5; expected names and values"),
        ("encoder: {name: ngram, options: {n: 1}}", "encoder.options: unknown option"),
        ("encoder: {name: 5}", "encoder.name: 5; expected an encoder's name"),
        ("rounds: {poll_seconds: .nan}", "rounds.poll_seconds: NaN; expected a number from"),
        ("queue: {5: 6}", "queue.5: unknown key"),
        ("projects: 5", "projects: 5; expected keys below it"),
        (
            "projects: {12: {web: {port: 1}}}",
            "projects.12.web: unknown section; expected one of labels, encoder",
        ),
        ("projects: {true: {}}", "projects.True: not a project"),
        ("projects: {12: {proxy: {name: linaer}}}", 'projects.12.proxy.name: .*did you mean "linear"'),
        (
            "projects: {12: {selection: {cold_start: x}}}",
            'projects.12.selection.cold_start: unknown strategy "x"',
        ),
        ("queue: {size: 20, size: 30}", 'nextlabel.yaml, line 1, column 19: key "size" is given twice'),
        ("queue: {size: 20", "nextlabel.yaml, line 1, column .*; expected valid YAML"),
        ("queue: \x01", "nextlabel.yaml: has characters that YAML does not allow"),
        ("[1, 2]", "nextlabel.yaml: is a list; expected sections"),
        ("encoder: {options: &self {deeper: *self}}", "nested without end"),
    ],
)
def test_each_kind_of_mistake_is_one_clear_line(errors, text, line):
    found = errors(text)
    assert len(found) == 1
    assert re.search(line, found[0])


IMPOSSIBLE = [
    "http://[::1/x",
    "http://[not-an-ip]/x",
    "http://a..b/x",
    "http://.a/x",
    f"http://{'a' * 64}.org/x",
    "http://a:99999/x",
    "http://a:b/x",
    "http://a:0/x",
    "http://:80/x",
]
POSSIBLE = [
    "http://[::1]:80/x",
    "http://label_studio:8080",
    "https://müller.de/x?y=z",
    "http://a./x",
    "http://a:",
]


@pytest.mark.parametrize("key", ["notify.webhook_url", "label_studio.url", "web.public_url"])
@pytest.mark.parametrize("url", IMPOSSIBLE)
def test_an_address_that_nothing_can_be_reached_at_is_refused(errors, key, url):
    section, name = key.split(".")
    [line] = errors(f"{section}: {{{name}: '{url}'}}")
    assert re.search(rf"^{key}: .*; expected an http:// or https:// address without user and password", line)


@pytest.mark.parametrize("url", POSSIBLE)
def test_an_address_that_may_be_reached_is_taken_as_it_is(read, url):
    text = f"notify: {{webhook_url: '{url}'}}\nlabel_studio: {{url: '{url}'}}\nweb: {{public_url: '{url}'}}"
    found = read(text)
    assert found.notify.webhook_url == found.label_studio.url == found.web.public_url == url


def test_the_public_address_is_made_of_host_and_port_wherever_they_stand(read):
    assert read("web: {host: '0.0.0.0', public_url: 'https://x.org:{port}/{host}'}").web.public_url == (
        "https://x.org:9090/0.0.0.0"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://{host}:99999",
        "http://{host}:0",
        "http://{hots}:9090",
        "http://[{host}:{port}",
        "http://{host}:{port}/{path}",
        "http://{host}:{port}0000",
        "http://{host}..b:{port}",
    ],
)
def test_a_public_address_is_checked_as_it_is_when_filled(errors, url):
    expected = "expected an http:// or https:// address without user and password"
    assert errors(f"web: {{public_url: '{url}'}}") == [f'web.public_url: "{url}"; {expected}']


def test_what_fills_the_public_address_is_refused_once_under_its_own_name(errors):
    assert errors("web: {port: 99999}") == ["web.port: 99999; expected a whole number from 1 to 65535"]
    for host in ("a..b", "localhost:9090"):
        assert errors(f"web: {{host: '{host}'}}") == [
            f'web.host: "{host}"; expected a host name or IP address'
        ]


@pytest.mark.parametrize("template", ["http://{host}:{port}", "http://[{host}]:{port}"])
@pytest.mark.parametrize("host", ["::1", "fe80::2%eth0"])
def test_a_host_of_ipv6_has_brackets_in_the_public_address(read, template, host):
    web = read(f"web: {{host: '{host}', public_url: '{template}'}}").web
    assert (web.host, web.public_url) == (host, f"http://[{host}]:9090")


def test_a_host_that_cannot_be_called_so_is_refused(errors):
    assert errors("web: {host: a..b}\nnotify: {smtp_host: a..b}") == [
        'web.host: "a..b"; expected a host name or IP address',
        'notify.smtp_host: "a..b"; expected a host name or IP address, or null',
    ]


SENDERS = [
    "nextlabel@localhost",
    "a.b+c@example.org",
    "<a@b>",
    "Next Label <a@b.org>",
    "이름 <a@b.org>",
    '"Labels, Inc." <a@b>',
]


@pytest.mark.parametrize("sender", SENDERS)
def test_a_sender_may_have_a_name(read, sender):
    """And a letter takes it as one address without a fault."""
    assert read(f"notify: {{smtp_from: '{sender}'}}").notify.smtp_from == sender
    letter = EmailMessage()
    letter["From"] = sender
    assert len(letter["From"].addresses) == 1
    assert not letter["From"].defects


@pytest.mark.parametrize(
    "sender",
    [
        "no reply",
        "no reply <",
        "no reply <a>",
        "a@",
        "@b",
        "<@b",
        "a b@c",
        "a@b..c",
        "a@b, c@d",
        "a@b\\nX: y",
        "",
    ],
)
def test_what_is_no_senders_address_is_refused(errors, sender):
    [line] = errors(f'notify: {{smtp_from: "{sender}"}}')
    assert re.search(
        r"^notify.smtp_from: .*; expected an e-mail address, such as nextlabel@example.org", line
    )


@pytest.mark.parametrize("email", ["<@b", "a@b..c", "a", "a@b c@d", "A <a@b>"])
def test_whom_no_mail_can_reach_is_refused(errors, email):
    [line] = errors(f'notify: {{email: "{email}"}}')
    assert line.endswith("expected e-mail addresses with commas between them, or null")


@example("two\u2028lines <a@b>")
@example("two\x85lines <a@b>")
@given(st.text(st.sampled_from('ab@.<>, ":;\\()é'), max_size=12) | st.text(max_size=12))
def test_every_sender_that_is_taken_makes_a_letter(sender):
    """Whatever is typed is refused here, or a letter can be from it."""
    try:
        Notify(smtp_from=sender)
    except ValidationError:
        return
    letter = EmailMessage()
    letter["From"] = sender
    [address] = letter["From"].addresses
    assert address.username
    assert address.domain


def test_shares_that_leave_the_strategy_nothing_are_told_once_where_they_were_given(errors, read):
    """By the file, the environment and a project that adds to them; one that inherits them tells no more."""
    assert errors("queue: {audit_share: .5, exploration_share: .4, relabel_share: .5}") == [
        "queue.audit_share, queue.exploration_share, queue.relabel_share: together are 1.4; "
        "expected at most 0.9"
    ]
    file = "queue: {audit_share: .5}\nprojects: {12: {queue: {size: 50}}}"
    assert errors(file, NEXTLABEL_QUEUE_RELABEL_SHARE="0.5") == [
        "queue.audit_share, queue.exploration_share, NEXTLABEL_QUEUE_RELABEL_SHARE (queue.relabel_share): "
        "together are 1.05; expected at most 0.9"
    ]
    assert errors("queue: {audit_share: .5}\nprojects: {12: {queue: {relabel_share: .4}}}") == [
        "projects.12.queue.audit_share, projects.12.queue.exploration_share, "
        "projects.12.queue.relabel_share: together are 0.95; expected at most 0.9"
    ]
    most = read("queue: {audit_share: .3, exploration_share: .3, relabel_share: .3}").queue
    assert sum(most.shares.values()) == MOST_RANDOM


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    file = tmp_path / "missing.yaml"
    if content:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"missing\.yaml: .*expected a YAML file"):
        config.load(file, catalogue=CATALOGUE, environment={})


def test_sections_and_options_may_stay_empty(read):
    assert read("queue:\nencoder: {options: }\nprojects:\n") == Config()


def test_a_project_lays_its_own_keys_over_the_defaults(read):
    found = read("""
    queue: {size: 200, seed: 7}
    encoder: {name: ngram, options: {low: 2}}
    projects: {12: {queue: {size: 50}}, 13: {encoder: {name: sentence}}, 14: {encoder: {options: {low: 1}}}}
    """)
    assert (found.for_project(12).queue.size, found.for_project(12).queue.seed) == (50, 7)
    assert found.for_project(99).queue.size == found.for_project(13).queue.size == 200
    assert found.for_project(13).encoder.options == {}, "another encoder does not inherit the options"
    assert found.for_project(14).encoder.name == "ngram"


NAMED = [("encoder", "ngram"), ("proxy", "ridge"), ("target", "ngram")]


@pytest.mark.parametrize(("section", "another"), NAMED)
def test_saying_the_default_name_keeps_the_options_that_are_configured(read, section, another):
    """In the environment or a project, the name that was meant all along changes nothing; another does."""
    default = str(SECTIONS[section].model_fields["name"].default)
    file = f"{section}: {{options: {{model: here}}}}\nprojects: {{12: {{{section}: {{name: %s}}}}}}"
    variable = f"NEXTLABEL_{section}_NAME".upper()
    options = {"model": "here"}
    assert getattr(read(file % default), section).options == options
    assert getattr(read(file % default).for_project(12), section).options == options
    assert getattr(read(file % default, **{variable: default}), section).options == options
    assert getattr(read(file % another).for_project(12), section).options == {}
    assert getattr(read(file % default, **{variable: another}), section).options == {}


def test_a_wrong_default_is_told_once_however_many_projects_inherit_it(errors):
    text = (
        "queue: {size: 5}\nselection: {strategy: no}\nprojects: {1: {queue: {seed: 1}}, 2: {selection: {}}}"
    )
    assert len(errors(text)) == 2


def test_the_environment_goes_before_the_file(read):
    found = read(
        "queue: {size: 200}\nweb: {port: 80}\nlabel_studio: {url: 'http://a'}",
        NEXTLABEL_QUEUE_SIZE="50",
        NEXTLABEL_QUEUE_LOW="0.25",
        NEXTLABEL_QUEUE_PREANNOTATE="false",
        NEXTLABEL_HOME="/data",
        LABEL_STUDIO_URL="http://label-studio:8080/",
        NEXTLABEL_WEB_PORT=" ",
    )
    assert found.queue.model_dump(include={"size", "low", "preannotate"}) == {
        "size": 50,
        "low": 0.25,
        "preannotate": False,
    }
    assert found.store.url == "sqlite:////data/nextlabel.db"
    assert found.label_studio.url == "http://label-studio:8080"
    assert found.web.port == 80, "an empty variable counts as not set"


def test_a_project_goes_before_the_file_and_the_environment(read):
    """What one project is told holds for it alone, whatever the whole installation is told."""
    found = read(
        "queue: {size: 200, seed: 3}\nprojects: {12: {queue: {size: 50}}}",
        NEXTLABEL_QUEUE_SIZE="70",
        NEXTLABEL_QUEUE_SEED="4",
    )
    assert (found.for_project(12).queue.size, found.for_project(12).queue.seed) == (50, 4)
    assert (found.for_project(13).queue.size, found.for_project(13).queue.seed) == (70, 4)


def test_an_unknown_variable_is_told_with_the_nearest(errors):
    assert errors(NEXTLABEL_QUEUE_SISE="5") == [
        "NEXTLABEL_QUEUE_SISE: unknown variable; expected NEXTLABEL_SECTION_KEY; "
        'did you mean "NEXTLABEL_QUEUE_SIZE"?'
    ]


def test_variables_of_others_are_left_alone(read):
    assert read(LABEL_STUDIO_PORT="8080", PATH="/bin") == Config()


def test_every_scalar_key_has_its_variable(read):
    """Each default, given through the environment, changes nothing."""
    environment = {
        f"NEXTLABEL_{section}_{key}".upper(): str(field.default)
        for section, kind in SECTIONS.items()
        for key, field in kind.model_fields.items()
        if key != "options"
    }
    assert environment.keys() <= config.variables().keys()
    assert (
        read(**{name: value for name, value in environment.items() if value not in ("None", "()")})
        == Config()
    )


def test_a_number_that_may_be_missing_is_a_number_in_the_environment(read):
    given = {
        "NEXTLABEL_BUDGET_LABELS": "500",
        "NEXTLABEL_BUDGET_HOURS": "2.5",
        "NEXTLABEL_BUDGET_MONEY": "null",
    }
    budget = read(**given).budget
    assert (budget.labels, budget.hours, budget.money) == (500, 2.5, None)


@pytest.mark.parametrize(
    ("key", "text", "means"),
    [
        ("queue.size", "050", 50),
        ("queue.size", "+50", 50),
        ("queue.low", "5e-1", 0.5),
        ("queue.low", ".5", 0.5),
        ("queue.low", "1", 1),
        ("budget.money", "00.50", 0.5),
        ("budget.money", "null", None),
        ("budget.deadline", "2026-12-31", "2026-12-31"),
        ("target.name", "null", None),
        ("labels.control", "~", None),
        ("queue.preannotate", "no", False),
        ("queue.preannotate", "True", True),
    ],
)
def test_the_file_and_the_environment_read_a_value_alike(read, key, text, means):
    """Numbers are decimal, however they begin; a key that may be null can be set to it by either."""
    section, name = key.split(".")
    in_file = read(f"{section}: {{{name}: {text}}}")
    in_environment = read(**{f"NEXTLABEL_{section}_{name}".upper(): text})
    for found in (in_file, in_environment):
        value = getattr(getattr(found, section), name)
        assert value == means
        assert isinstance(value, bool) == isinstance(means, bool)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("budget.money", "1:30", "a number above 0, or null"),
        ("budget.hours", "1,5", "a number above 0, or null"),
        ("queue.size", "1_0_0", "a whole number from 10 to 300"),
        ("queue.size", "0x32", "a whole number from 10 to 300"),
        ("queue.size", "null", "a whole number from 10 to 300"),
        ("queue.seed", "9" * 5000, "a whole number from 0 to 4294967295"),
        ("queue.low", "1e999", "a number from 0.05 to 1"),
        ("queue.preannotate", "1", "true or false"),
        ("queue.preannotate", "maybe", "true or false"),
    ],
)
def test_what_only_looks_like_a_number_is_refused_in_the_file_and_in_the_environment(
    errors, key, text, expected
):
    section, name = key.split(".")
    [in_file] = errors(f"{section}:\n  {name}: {text}")
    variable = f"NEXTLABEL_{section}_{name}".upper()
    [in_environment] = errors(**{variable: text})
    assert in_file.startswith(f"{key}: ")
    assert in_environment.startswith(f"{variable} ({key}): ")
    assert in_file.endswith(f"; expected {expected}")
    assert in_environment.endswith(f"; expected {expected}")


@given(st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 3))
def test_a_number_is_read_as_python_writes_it_whatever_zeros_come_first(value, zeros):
    sign, digits = ("-", str(value)[1:]) if str(value).startswith("-") else ("", str(value))
    text = f"{sign}{'0' * zeros}{digits}"
    found = number(text)
    assert (found, type(found)) == (value, type(value))
    assert yaml.load(text, Loader=_Loader) == value


SECRET = "hunter2-do-not-show"


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        (f"label_studio: {{token: {SECRET}}}", "LABEL_STUDIO_API_KEY"),
        (f"label_studio: {{api_key: {SECRET}}}", "LABEL_STUDIO_API_KEY"),
        (f"token: {SECRET}", "LABEL_STUDIO_API_KEY"),
        (f"web: {{password: {SECRET}}}", "NEXTLABEL_PASSWORD"),
        (f"password: {SECRET}", "NEXTLABEL_PASSWORD"),
        (f"store: {{password: {SECRET}}}", "NEXTLABEL_STORE_URL"),
        (f"store: {{url: 'postgresql://me:{SECRET}@host/db'}}", "NEXTLABEL_STORE_URL"),
        (f"encoder: {{options: {{hf_token: {SECRET}}}}}", "HF_TOKEN"),
        (f"projects: {{12: {{encoder: {{options: {{token: {SECRET}}}}}}}}}", "HF_TOKEN"),
    ],
)
def test_a_secret_in_the_file_is_refused_with_the_name_of_its_variable(errors, text, variable):
    found = errors(text)
    assert len(found) == 1
    assert variable in found[0]
    assert SECRET not in found[0]


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        (f"label_studio: {{url: 'http://me:{SECRET}@host'}}", {}),
        (f"token: {SECRET}: x", {}),
        (f"token: [{SECRET}", {}),
        ("", {"NEXTLABEL_STORE_URL": f"mysql://me:{SECRET}@host/db?password={SECRET}"}),
        ("", {"LABEL_STUDIO_URL": f"http://me:{SECRET}/x@host"}),
        ("queue: {size: 5}", {"NEXTLABEL_PASSWORD": SECRET, "LABEL_STUDIO_API_KEY": SECRET}),
    ],
)
def test_no_error_shows_a_secret(errors, text, environment):
    assert SECRET not in "\n".join(errors(text, **environment))


def test_secrets_come_from_the_environment_and_are_never_shown(read):
    found = read(
        LABEL_STUDIO_API_KEY=SECRET,
        NEXTLABEL_PASSWORD=SECRET + "!",
        NEXTLABEL_STORE_URL=f"postgresql://me:{SECRET}@host/db",
    )
    assert found.secrets.label_studio_token.get_secret_value() == SECRET
    assert found.secrets.password.get_secret_value() == SECRET + "!"
    assert found.store.url.endswith(f"{SECRET}@host/db")
    for shown in (repr(found), str(found), repr(found.secrets), str(found.store), repr(found.store)):
        assert SECRET not in shown


def test_the_older_name_of_the_token_is_taken_where_the_newer_is_not_given(read):
    older = read(LABEL_STUDIO_ACCESS_TOKEN="old")
    both = read(LABEL_STUDIO_ACCESS_TOKEN="old", LABEL_STUDIO_API_KEY="new")
    assert older.secrets.label_studio_token.get_secret_value() == "old"
    assert both.secrets.label_studio_token.get_secret_value() == "new"


def test_a_configuration_does_not_change(read):
    with pytest.raises(ValidationError, match="frozen"):
        read().queue.size = 5


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
        lambda inner: st.dictionaries(
            st.sampled_from([*SECTIONS, "size", "projects", "name", "options", 12]), inner
        ),
        max_leaves=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_file_holds_it_is_read_or_refused(tmp_path_factory, content):
    """No content ends in anything but a configuration or a ConfigError whose lines each name a place."""
    file = tmp_path_factory.mktemp("any") / "nextlabel.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    told = ": "
    try:
        config.load(file, catalogue=CATALOGUE, environment={})
    except ConfigError as error:
        told = str(error)
    assert all(": " in line for line in told.splitlines())


def test_managers_are_a_list_of_addresses_or_one_variable(tmp_path: Path) -> None:
    file = tmp_path / "nextlabel.yaml"
    file.write_text("web: {managers: [anna@example.org, ben@example.org]}")
    both = ("anna@example.org", "ben@example.org")
    assert config.load(file, catalogue=CATALOGUE, environment={}).web.managers == both
    said = {"NEXTLABEL_WEB_MANAGERS": "anna@example.org, ben@example.org"}
    assert config.load(None, catalogue=CATALOGUE, environment=said).web.managers == both
    assert config.load(None, catalogue=CATALOGUE, environment={}).web.managers == ()
    file.write_text("web: {managers: [anna]}")
    with pytest.raises(ConfigError, match=r"web.managers: .* expected a list of e-mail addresses"):
        config.load(file, catalogue=CATALOGUE, environment={})


def test_media_hosts_are_a_list_or_one_variable(tmp_path: Path) -> None:
    """Hosts with ports and wildcards; an address instead of a host is refused."""
    file = tmp_path / "nextlabel.yaml"
    file.write_text("media: {hosts: [images.example.org, '*.example.net', 'cdn.example.org:8443']}")
    read = config.load(file, catalogue=CATALOGUE, environment={}).media.hosts
    assert read == ("images.example.org", "*.example.net", "cdn.example.org:8443")
    said = {"NEXTLABEL_MEDIA_HOSTS": "a.example.org, b.example.org"}
    assert config.load(None, catalogue=CATALOGUE, environment=said).media.hosts == (
        "a.example.org",
        "b.example.org",
    )
    file.write_text("media: {hosts: ['https://images.example.org/']}")
    with pytest.raises(ConfigError, match=r"media.hosts: .* expected a list of hosts"):
        config.load(file, catalogue=CATALOGUE, environment={})
