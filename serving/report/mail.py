"""A mailed report as a message: HTML with pictures, the same as text, and CSV files.

Belongs here: putting figures into the templates beside this module and into MIME. Who gets it, and when, is for
`mailing`. Nothing in it is loaded from anywhere, and nobody is told that it was read.
"""

import base64
import io
from dataclasses import dataclass
from email.message import EmailMessage, MIMEPart
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pyarrow import csv

from runtime.wording import counted
from serving.report.mail_figures import MailFigures
from serving.report.pictures import COLOURS, HEIGHT, WIDTH, line_picture
from serving.report.subscriptions import Subscription

_TEMPLATES = Path(__file__).parent / "template"
_MOST_LINES = len(COLOURS)


@dataclass(frozen=True)
class Picture:
    """A PNG of the mail: `cid` names it in the HTML, `says` is what it shows, `names` its lines with their colours."""

    cid: str
    says: str
    names: tuple[tuple[str, str], ...]
    png: bytes


def report_message(subscription: Subscription, figures: MailFigures) -> EmailMessage:
    """The report without sender, recipient, date and identity."""
    message = EmailMessage()
    message["Subject"] = f"{subscription.title}: publication {figures.publication_id}"
    message["Auto-Submitted"] = "auto-generated"
    pictures = _pictures(figures)
    context = {"title": subscription.title, "f": figures, "pictures": pictures, "width": WIDTH, "height": HEIGHT}
    message.set_content(_rendered("mail.txt", context))
    message.add_alternative(_rendered("mail.html", context), subtype="html")
    html = next(part for part in message.iter_parts() if part.get_content_subtype() == "html")
    assert isinstance(html, MIMEPart)
    for picture in pictures:
        html.add_related(picture.png, "image", "png", cid=f"<{picture.cid}>", disposition="inline",
                         filename=f"{picture.cid}.png")  # fmt: skip
    stem = f"{subscription.name}-{figures.publication_id}"
    for name, rows in (("figures", figures.figures_csv), ("completeness", figures.completeness_csv)):
        message.add_attachment(csv_text(rows), subtype="csv", filename=f"{stem}-{name}.csv")
    return message


def preview_html(subscription: Subscription, figures: MailFigures) -> str:
    """The page of a mail as a file of its own, its pictures inside."""
    pictures = _pictures(figures)
    context = {"title": subscription.title, "f": figures, "pictures": pictures, "width": WIDTH, "height": HEIGHT}
    page = _rendered("mail.html", context)
    for picture in pictures:
        page = page.replace(f"cid:{picture.cid}", f"data:image/png;base64,{base64.b64encode(picture.png).decode()}")
    return page


def csv_text(rows: pa.Table) -> str:
    """Rows as CSV; a text that a spreadsheet would take for a formula begins with an apostrophe."""
    for place, field in enumerate(rows.schema):
        if pa.types.is_string(field.type):
            safe = pc.replace_substring_regex(rows[place], r"^([=+\-@\t\r])", r"'\1")
            rows = rows.set_column(place, field.name, safe)
    sink = io.BytesIO()
    csv.write_csv(rows, sink)
    return sink.getvalue().decode("utf-8")


def _pictures(figures: MailFigures) -> list[Picture]:
    hours = figures.hours
    made = []
    if any(value is not None for value in figures.complete_hourly):
        png = line_picture(hours, [figures.complete_hourly])
        made.append(Picture("completeness", "Share of the readings due that came, by hour, in %", (), png))
    for number, metric in enumerate(figures.metrics):
        sites = metric.sites[:_MOST_LINES]
        if sites:
            names = tuple(zip((site.site_id for site in sites), COLOURS, strict=False))
            png = line_picture(hours, [site.hourly for site in sites])
            made.append(Picture(f"metric{number}", f"{metric.name} in {metric.unit}, mean of each hour", names, png))
    return made


def _rendered(template: str, context: dict[str, object]) -> str:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=template.endswith("html"), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"moment": lambda at: f"{at:%Y-%m-%d %H:%M} UTC", "pct": _pct, "number": "{:,.4g}".format,
                            "counted": lambda pair: counted(*pair)}  # fmt: skip
    return environment.get_template(template).render(context)


def _pct(share: float | None) -> str:
    return "nothing due" if share is None else f"{share:.1f} %"
