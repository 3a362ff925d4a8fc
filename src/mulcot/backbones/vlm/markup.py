"""How a family marks up a conversation: in prompts, for programs that bring their own, and in exported models alike."""

from __future__ import annotations

from dataclasses import dataclass

from mulcot.backbones.vlm.safe_tokenizer import SafeTokenizer

_TEMPLATE = r"""
{%- for message in messages -%}
  {{- 'START' + message.role + '\n' -}}
  {%- if message.content is string -%}
    {{- message.content -}}
  {%- else -%}
    {%- for part in message.content -%}
      {%- if part.type in ('image', 'image_url') -%}
        {{- 'PICTURE' -}}
      {%- elif 'text' in part -%}
        {{- part.text -}}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
  {{- 'END\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- 'STARTassistant\n' -}}
{%- endif -%}
"""


@dataclass(frozen=True, slots=True)
class ChatMarkup:
    """Control tokens around turns and pictures.

    Texts go through `SafeTokenizer.encode_text`, so none can open or close a turn.
    """

    name: str
    """With its version: a change makes old adapters unusable."""
    start: str
    end: str
    picture: tuple[str, str, str]
    """What stands before a picture, for each of its tokens, and after it."""

    def begin(self, words: SafeTokenizer, role: str, text: str = "") -> list[int]:
        """The beginning of a turn, with its first text."""
        return [words.control(self.start), *words.encode_text(f"{role}\n{text}")]

    def close(self, words: SafeTokenizer) -> list[int]:
        """The end of a turn, before another."""
        return [words.control(self.end), *words.encode_text("\n")]

    def image(self, words: SafeTokenizer, tokens: int) -> list[int]:
        """A picture of so many tokens."""
        before, each, after = (words.control(token) for token in self.picture)
        return [before, *[each] * tokens, after]

    @property
    def chat_template(self) -> str:
        """The same as transformers' template. Unlike the families' own it adds no system text where none is given."""
        return _TEMPLATE.replace("START", self.start).replace("PICTURE", "".join(self.picture)).replace("END", self.end)


CHATML = ChatMarkup("chatml-1", "<|im_start|>", "<|im_end|>", ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>"))
