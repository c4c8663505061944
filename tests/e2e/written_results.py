"""For each shipped label config: a task, what Label Studio's page writes for it, and what that means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SIZE = (320, 240)
"""Width and height of the picture."""


def item(control: str, shown: str, kind: str, value: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": f"{control}1",
        "from_name": control,
        "to_name": shown,
        "type": kind,
        "value": dict(value),
        "origin": "manual",
        **more,
    }


def region(control: str, kind: str, label: str, value: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    size = {"original_width": SIZE[0], "original_height": SIZE[1], "image_rotation": 0}
    return item(control, "image", kind, {**value, kind: [label]}, **size, **more)


@dataclass(frozen=True)
class Written:
    """One annotation.

    data:    the task's; `None` for the address of a picture
    result:  as the page writes it
    targets: by control tag; of regions the items themselves
    """

    data: Mapping[str, Any]
    result: list[dict[str, Any]]
    targets: Mapping[str, Any]


TEXT = {"text": "On 3 May Ada paid 20 euros in Paris for a book about owls 🦉, and it came late."}
PICTURE: Mapping[str, Any] = {"image": None}

_BOX = region(
    "boxes", "rectanglelabels", "Car", {"x": 10, "y": 20.5, "width": 30, "height": 40, "rotation": 0}
)
_OUTLINE = region(
    "outlines", "polygonlabels", "Pedestrian", {"points": [[10, 10], [60.5, 15], [40, 70]], "closed": True}
)
_POINT = region("points", "keypointlabels", "Pedestrian", {"x": 50, "y": 25, "width": 2})
_ROUND = region(
    "rounds", "ellipselabels", "Car", {"x": 50, "y": 50, "radiusX": 20, "radiusY": 30.5, "rotation": 15}
)


def mask() -> dict[str, Any]:
    """Paint the middle of the picture, coded as Label Studio's own converter does."""
    import numpy as np
    from label_studio_sdk.converter.brush import mask2rle

    width, height = SIZE
    painted = np.zeros((height, width), np.uint8)
    painted[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 255
    return region("masks", "brushlabels", "Car", {"format": "rle", "rle": mask2rle(painted)})


def written() -> dict[str, Written]:
    """One annotation for each shipped config, by file name."""
    masks = mask()
    return {
        "text_classification.xml": Written(
            TEXT, [item("topic", "text", "choices", {"choices": ["Sci/Tech"]})], {"topic": 3}
        ),
        "text_tags.xml": Written(
            TEXT,
            [item("mentions", "text", "choices", {"choices": ["person", "money"]})],
            {"mentions": frozenset({0, 2})},
        ),
        "text_taxonomy.xml": Written(
            TEXT,
            [item("species", "text", "taxonomy", {"taxonomy": [["Animals", "Aves", "Owls"]]})],
            {"species": 0},
        ),
        "text_rating.xml": Written(TEXT, [item("stars", "text", "rating", {"rating": 4})], {"stars": 4.0}),
        "text_number.xml": Written(
            TEXT, [item("minutes", "text", "number", {"number": 2.5})], {"minutes": 2.5}
        ),
        "text_pairwise.xml": Written(
            {"left": "An owl is a bird.", "right": "No."},
            [item("better", "better", "pairwise", {"selected": "right"})],
            {"better": 1},
        ),
        "image_classification.xml": Written(
            PICTURE, [item("what", "image", "choices", {"choices": ["other"]})], {"what": 2}
        ),
        "image_tags.xml": Written(
            PICTURE,
            [item("seen", "image", "choices", {"choices": ["Vehicle", "Traffic light"]})],
            {"seen": frozenset({1, 2})},
        ),
        "image_taxonomy.xml": Written(
            PICTURE,
            [item("seen", "image", "taxonomy", {"taxonomy": [["Animals", "Aves"], ["Plants"]]})],
            {"seen": frozenset({1, 5})},
        ),
        "image_boxes.xml": Written(PICTURE, [_BOX], {"boxes": (_BOX,)}),
        "image_polygons.xml": Written(PICTURE, [_OUTLINE], {"outlines": (_OUTLINE,)}),
        "image_masks.xml": Written(PICTURE, [masks], {"masks": (masks,)}),
        "image_keypoints.xml": Written(PICTURE, [_POINT], {"points": (_POINT,)}),
        "image_ellipses.xml": Written(PICTURE, [_ROUND], {"rounds": (_ROUND,)}),
        "several_questions.xml": Written(
            TEXT,
            [
                item("topic", "text", "choices", {"choices": ["Delivery"]}),
                item("wishes", "text", "choices", {"choices": ["answer", "refund"]}),
                item("stars", "text", "rating", {"rating": 2}),
                item("note", "text", "textarea", {"text": ["a regular"]}),
            ],
            {"topic": 0, "wishes": frozenset({0, 1}), "stars": 2.0},
        ),
    }
