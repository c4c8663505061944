"""The sections about money: what labels may cost, and who is told when that is spent."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, StringConstraints

from backend.config.section import Address, Host, Name, Section
from backend.config.words import Expected

Amount: TypeAlias = Annotated[float | None, Field(gt=0), Expected("a number above 0, or null")]
Code: TypeAlias = Annotated[Name | None, Expected("a currency's code of three letters, or null")]
Share: TypeAlias = Annotated[float | None, Field(gt=0, lt=1), Expected("a number between 0 and 1, or null")]
Text: TypeAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=500), Expected("a sentence of up to 500 characters")
]
_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_ATOM = rf"""[^\s{_CONTROL}()<>\[\]:;@\\,."]+"""
_PLACE = rf"{_ATOM}(\.{_ATOM})*@{_ATOM}(\.{_ATOM})*"
_CALLED = rf"""("[^"\\{_CONTROL}]*"|[^"()<>\[\]:;@\\,{_CONTROL}]*)"""
Addresses: TypeAlias = Annotated[
    str | None,
    StringConstraints(pattern=rf"^{_PLACE}(,\s*{_PLACE})*$"),
    Expected("e-mail addresses with commas between them, or null"),
]
Sender: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=rf"^({_PLACE}|{_CALLED} *<{_PLACE}>)$"),
    Expected("an e-mail address, such as nextlabel@example.org"),
]


class Budget(Section):
    """What the labels may cost; only the start: later it is set in the page or by `nextlabel budget`."""

    labels: Annotated[int | None, Field(ge=1), Expected("a whole number from 1, or null")] = Field(
        default=None, description="How many labels may be made."
    )
    hours: Amount = Field(default=None, description="How many hours annotators may work.")
    money: Amount = Field(default=None, description="How much may be paid, at the rates below.")
    currency: Code = Field(default=None, description="Currency of money and rates, such as EUR.")
    per_hour: Amount = Field(default=None, description="What an annotator's hour costs.")
    per_label: Amount = Field(default=None, description="What a label costs, on top.")
    deadline: Annotated[Name | None, Expected('a day or time, such as "2026-12-31", or null')] = Field(
        default=None, description="When the queue closes, whatever is left."
    )
    target_metric: Name = Field(default="accuracy", description="What the target is a value of.")
    target_value: Share = Field(
        default=None,
        description="The queue closes when the metric is surely (95 %, over all looks) above it.",
    )
    most_minutes: float = Field(
        default=60, ge=1, le=1440, description="One sitting counts at most so long: tabs stay open overnight."
    )
    least_gain: float = Field(
        default=0.5,
        ge=0,
        le=20,
        description="Points of the metric (in %) that 100 more labels must bring to be worth it.",
    )


class Notify(Section):
    """Who is told when the queue closes, and what annotators read then."""

    closed_text: Text = Field(
        default="Labelling is closed. Thank you for your work!",
        description="What annotators read above the project's instruction when the budget is spent.",
    )
    paused_text: Text = Field(
        default="Labelling is paused. Please come back later.",
        description="The same while somebody has paused the project.",
    )

    webhook_url: Annotated[
        Address | None, Expected("an http:// or https:// address without user and password, or null")
    ] = Field(
        default=None,
        repr=False,
        description="Address that gets a JSON message with a text, as chat programs take it.",
    )
    email: Addresses = Field(default=None, description="Who gets an e-mail, with commas between them.")
    smtp_host: Annotated[Host | None, Expected("a host name or IP address, or null")] = Field(
        default=None, description="Mail server; without one no e-mail is sent."
    )
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its port; 465 speaks TLS at once.")
    smtp_user: Name | None = Field(
        default=None, description="Who logs in there, with NEXTLABEL_SMTP_PASSWORD as password."
    )
    smtp_from: Sender = Field(default="nextlabel@localhost", description="The sender's address.")
    smtp_tls: bool = Field(default=True, description="Whether the mail server must encrypt.")
