"""From what was sent to posts: JSON or a form in, checked bodies out."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.datastructures import UploadFile

from mulcot.errors import printable
from mulcot.predict.posts import Post
from mulcot.serving.error_responses import Invalid

LONGEST = 100_000
"""Characters of a text; what the model can read is checked later, in tokens."""
FIELD_BYTES = 1_000_000
M = TypeVar("M", bound=BaseModel)
Text = Annotated[str, Field(max_length=LONGEST)]
MOST_PICTURES = 8
Pictures = Annotated[list[str], Field(max_length=MOST_PICTURES)]


class PostBody(BaseModel):
    """A post or a question."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    text: Text
    """The post; for multiple choice, the question."""
    image: str | Pictures | None = None
    """Its picture, or a list of several: base64, data URLs, or URLs of an allowed host."""
    aspect: Text | None = None
    """What the sentiment is about."""
    choices: list[Text] = Field(default=[], max_length=26)
    """The choices of a question."""
    context: Text | None = None
    """The hint of a question."""
    caption: Text | None = None
    """What the picture shows, for models that read captions."""
    id: str = Field(default="", pattern=r"^[!-~]{0,100}$")
    """Comes back with the answer."""

    def post(self) -> Post:
        """As the model is asked, without its picture."""
        return Post(**self.model_dump(exclude={"image", "choices"}), choices=tuple(self.choices))

    @property
    def pictures(self) -> list[str]:
        """Where its pictures are."""
        given = [self.image] if isinstance(self.image, str) else self.image or []
        return [one for one in given if one]


class PredictBody(BaseModel):
    """One post, or several as `items`."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    text: Text | None = None
    image: str | Pictures | None = None
    aspect: Text | None = None
    choices: list[Text] = Field(default=[], max_length=26)
    context: Text | None = None
    caption: Text | None = None
    id: str = Field(default="", pattern=r"^[!-~]{0,100}$")
    label_only: bool = False
    """No chain: much faster."""
    items: list[PostBody] | None = Field(default=None, min_length=1)
    """Several posts at once."""

    @model_validator(mode="after")
    def _one_or_several(self) -> PredictBody:
        if (self.text is None) == (self.items is None):
            raise ValueError("give either `text` or `items`")
        single = (self.image, self.aspect, self.choices, self.context, self.caption, self.id)
        if self.items is not None and any(single):
            raise ValueError("with `items`, everything but `label_only` belongs into the items")
        return self

    def posts(self) -> list[PostBody]:
        """The one, or the several."""
        if self.items is not None:
            return self.items
        fields = self.model_dump(exclude={"items", "label_only"})
        return [PostBody.model_construct(**fields)]


def read_json(kind: type[M], raw: bytes) -> M:
    """A checked body; raises `Invalid` with the place of the first problem, and nothing of what was sent."""
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise _invalid(error, "the body") from None


def _invalid(error: ValidationError, whole: str) -> Invalid:
    """The first problem: where it is and what it is, and nothing of what was sent."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = printable(".".join(str(part)[:50] for part in first["loc"][:6]))
    return Invalid(f"{place or whole}: {printable(first['msg'].removeprefix('Value error, '))[:200]}")


async def read_form(request: Request) -> tuple[PredictBody, list[bytes]]:
    """A form with the same fields, each picture as a file."""
    async with request.form(max_files=MOST_PICTURES, max_fields=40, max_part_size=FIELD_BYTES) as form:
        uploads = [value for value in form.getlist("image") if isinstance(value, UploadFile)]
        pictures = [raw for raw in [await upload.read() for upload in uploads] if raw]
        fields: dict[str, Any] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name != "image":
                    raise Invalid(f"the file {printable(name)[:50]!r} is not expected; the picture is called image")
            elif name == "choices":
                fields.setdefault(name, []).append(value)
            elif name in fields or name == "items":
                raise Invalid(f"the field {printable(name)[:50]!r} can be given once")
            else:
                fields[name] = value
    if "choices" in fields:
        fields["choices"] = _listed(fields["choices"])
    try:
        return PredictBody.model_validate(fields), pictures
    except ValidationError as error:
        raise _invalid(error, "the form") from None


def _listed(values: list[str]) -> list[str]:
    """Choices field by field, or all in one as a JSON list, as tables have them."""
    if len(values) == 1 and values[0].lstrip().startswith("["):
        try:
            found = json.loads(values[0])
        except (ValueError, RecursionError):
            return values
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return found
    return values
