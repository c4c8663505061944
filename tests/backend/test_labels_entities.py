"""Labels on texts: exact places on any Unicode, and what annotators draw that cannot be learned."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from backend.domain import LabelConfigError
from backend.labels import Form, Span, read
from backend.labels.entities import apart
from backend.labels.html_layout import lay_out, utf16_length

CONFIG = """<View><Labels name="ner" toName="text"><Label value="City"/><Label value="Country" alias="land"/>
<Label value="Person"/></Labels><Text name="text" value="$text"/></View>"""
HYPER = (
    CONFIG.replace("<Text ", "<HyperText ")
    .replace("Labels ", "HyperTextLabels ")
    .replace("/Labels", "/HyperTextLabels")
)
KIND, PAGE = read(CONFIG), read(HYPER)
TEXT = "Hi \U0001f600\U0001f600 Paris, caf\u00e9 e\u0301 in\nFrance  and\tRome\r\nOslo & <b>Lima</b>"
HTML = (
    "<p>Hi \U0001f600\U0001f600 Paris, <b>in</b>\n  France &amp; more</p><div>and   <i>Ro</i>me<br>Oslo</div>"
)
ODD = (
    "  <html><head><title>T</title><style>p{}</style></head><body>\n<!-- c --><p>A</p>  <table><tr>"
    "<td>Paris</td><td>in</td></tr></table><script>var a=1</script><pre>\nRome</pre>&nbsp;Oslo</body></html>"
)


def region(start, end, *labels, control="ner", kind="labels", **more):
    value = {"start": start, "end": end, "text": "", "labels": list(labels)}
    return {"from_name": control, "to_name": "text", "type": kind, "value": value, **more}


def test_what_the_page_stored_is_read_to_the_character():
    """Stored by Label Studio 1.23.2's page when those words were marked: code points, nothing trimmed."""
    stored = [(6, 11, "Paris"), (24, 30, "France"), (36, 38, "Ro"), (42, 46, "Oslo")]
    spans = KIND.target([region(start, end, "City") for start, end, _ in stored])
    text = KIND.input({"text": TEXT})
    assert [text[span.start : span.end] for span in spans] == [word for *_, word in stored]
    assert KIND.form is Form.SPANS
    assert KIND.labels == ("City", "land", "Person")


@pytest.mark.parametrize(
    ("html", "path", "offset", "start", "word"),
    [
        (HTML, "/p[1]/text()[1]", 8, 6, "Paris"),
        (HTML, "/p[1]/text()[2]", 3, 18, "France"),
        (HTML, "/div[1]/i[1]/text()[1]", 0, 37, "Ro"),
        (HTML, "/div[1]/text()[3]", 0, 42, "Oslo"),
        (ODD, "/table[1]/tbody[1]/tr[1]/td[1]/text()[1]", 0, 4, "Paris"),
        (ODD, "/pre[1]/text()[1]", 0, 11, "Rome"),
        (ODD, "/text()[3]", 1, 16, "Oslo"),
    ],
)
def test_places_in_a_hypertext_are_those_that_the_page_stored(html, path, offset, start, word):
    """XPaths, UTF-16 offsets and global offsets as Label Studio's page stored them for the word."""
    text = PAGE.input({"text": html})
    assert text[start : start + len(word)] == word
    [item] = PAGE.results((Span(start, start + len(word), 0, 0.5),), 0.5, str(text))
    value = item["value"]
    assert (value["start"], value["end"]) == (path, path)
    assert (value["startOffset"], value["endOffset"]) == (offset, offset + len(word))
    assert value["globalOffsets"] == {"start": start, "end": start + len(word)}
    assert json.loads(json.dumps(value))["text"] == word
    assert PAGE.target([item]) == (Span(start, start + len(word), 0),)
    assert (
        LabelInterface(HYPER).validate_prediction({"result": [item], "score": 0.5}, return_errors=True) == []
    )


def test_a_span_over_several_nodes_begins_and_ends_in_its_own():
    [item] = PAGE.results((Span(37, 41, 0),), 1.0, PAGE.input({"text": HTML}))
    assert item["value"]["text"] == "Rome"
    assert (item["value"]["start"], item["value"]["startOffset"]) == ("/div[1]/i[1]/text()[1]", 0)
    assert (item["value"]["end"], item["value"]["endOffset"]) == ("/div[1]/text()[2]", 2)


def test_of_a_hypertext_whose_nodes_are_not_known_nothing_is_written():
    assert PAGE.results((Span(6, 11, 0),), 1.0, "Hi __ Paris") == ()
    assert (
        PAGE.target([{"from_name": "ner", "type": "hypertextlabels", "value": {"hypertextlabels": ["City"]}}])
        is None
    )


CHARACTERS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("\U0001f600\u0301\u200d\u1112\u1161\u05d0 a"),
    )
)


@given(CHARACTERS, st.data())
@settings(deadline=None)
def test_spans_come_back_as_they_went_whatever_the_text(text, data):
    """Through results, the official validator and back; `text` quotes the characters in between."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = tuple(
        Span(start, end, data.draw(st.integers(0, 2)), 0.25)
        for start, end in itertools.pairwise(cuts)
        if text[start:end].strip()
    )
    items = KIND.results(spans, 0.9, text)
    assert [item["value"]["text"] for item in items] == [text[span.start : span.end] for span in spans]
    assert [item["score"] for item in items] == [0.25] * len(spans)
    assert KIND.target(items) == tuple(Span(span.start, span.end, span.label) for span in spans)
    assert (
        LabelInterface(CONFIG).validate_prediction({"result": list(items), "score": 1}, return_errors=True)
        == []
    )


@given(st.lists(st.builds(Span, st.integers(0, 9), st.integers(10, 15), st.integers(0, 2)), max_size=6))
@settings(deadline=None)
def test_of_overlapping_regions_the_longest_stays_and_the_others_are_told(spans):
    """The slow twin takes whichever span nothing better overlaps, again and again."""
    items = [region(span.start, span.end, KIND.labels[span.label]) for span in spans]
    left, best = set(spans), []
    while left:
        first = min(left, key=lambda span: (-(span.end - span.start), span.start, span.label))
        best.append(first)
        left = {span for span in left if span.end <= first.start or first.end <= span.start}
    assert KIND.target(items) == tuple(sorted(best))
    assert len(KIND.unknown(items)) == len(set(spans) - set(best))


def test_a_submitted_text_without_regions_has_no_entities():
    assert KIND.target([]) == ()
    assert KIND.unknown([]) == ()
    required = read(CONFIG.replace('toName="text"', 'toName="text" required="true"'))
    assert required.target([]) is None


def test_what_is_not_in_the_config_is_told_and_left_out():
    """One with unknown labels alone is no text without entities; relations and other controls are ignored."""
    found = [
        region(0, 3, "Planet"),
        {"type": "relation", "from_id": "a"},
        region(0, 2, "City", control="other"),
    ]
    assert KIND.target(found) is None
    assert KIND.unknown(found) == ("Planet",)
    assert KIND.target([*found, region(4, 6, "land", "City")]) == (Span(4, 6, 1),)
    for value in ({}, {"start": None, "end": 3}, {"start": 5, "end": 5}, {"start": True, "end": 3}):
        broken = {"from_name": "ner", "type": "labels", "value": {**value, "labels": ["City"]}}
        assert KIND.target([broken]) is None
        assert KIND.unknown([broken]) == ("City (its place is not told in characters)",)


def test_a_span_that_no_page_could_show_is_left_out():
    assert KIND.results((Span(0, 2, 0), Span(3, 99, 0), Span(2, 2, 0)), 1.0, "  ab") == ()


def test_annotators_agree_on_the_spans_that_most_drew():
    city, land, person = Span(0, 4, 0), Span(6, 9, 1), Span(6, 12, 2)
    assert KIND.agree([]) is None
    assert KIND.agree([None, (city,)]) == (city,)
    assert KIND.agree([(city, land), (city,), (city, person)]) == (city,)
    assert KIND.agree([(city,), (land,)]) == (land,)
    assert KIND.agree([(city,), ()]) == ()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (CONFIG.replace('value="City"', 'value="$city"'), 'Label "$city" comes from each task'),
        ('<View><Labels name="ner" toName="text"/><Text name="text" value="$text"/></View>', "has no labels"),
        (CONFIG.replace('toName="text"', 'toName="text" value="$labels"'), "takes the labels from each task"),
        (CONFIG.replace("<Text ", "<Image "), 'is on Image "text"; expected Text or HyperText'),
        (
            CONFIG.replace("Labels ", "HyperTextLabels ").replace("/Labels", "/HyperTextLabels"),
            "expected HyperText",
        ),
        (CONFIG.replace('value="$text"', 'value="$text" valueType="url"'), 'valueType="url" is not read yet'),
    ],
)
def test_what_cannot_be_learned_is_refused_by_name(config, says):
    with pytest.raises(LabelConfigError, match=r"ner|text") as caught:
        read(config, primary="ner")
    assert says in str(caught.value)


@given(CHARACTERS)
@settings(deadline=None)
def test_utf16_units_are_those_of_an_encoder(text):
    assert utf16_length(text) == len(text.encode("utf-16-le")) // 2


@given(
    st.lists(
        st.sampled_from(["<p>", "</p>", "<br>", "<b>", "</b>", "a\U0001f600", " ", "&amp;", "<td>", "x\n"])
    )
)
def test_every_character_of_a_hypertext_lies_in_the_node_that_its_place_names(parts):
    """Each one-character stretch quotes that character out of its node; breaks lie in none."""
    text = lay_out("".join(parts))
    texts = {node.xpath: node.text for node in text.nodes if node.xpath}
    for at in range(len(text)):
        place = text.place(at, at + 1)
        if place is None:
            assert text[at] == "\n"
            continue
        units = texts[place.start].encode("utf-16-le")
        assert units[2 * place.start_offset : 2 * place.end_offset].decode("utf-16-le") == text[at]


def test_apart_of_nothing_is_nothing():
    assert apart([]) == ()
