"""Code shown in a notebook is the package's own."""

import inspect

import IPython.display

from pddm_lite.losses import scale
from pddm_lite.paper.source import show
from pddm_lite.pddm import PDDM


def shown(monkeypatch, *functions, **how):
    out = []
    monkeypatch.setattr(IPython.display, "display", lambda x: out.append(x.data))
    show(*functions, **how)
    (text,) = out
    assert text.startswith("```python\n") and text.endswith("\n```")
    return text


def test_it_is_the_source_with_or_without_its_docstring(monkeypatch):
    text = shown(monkeypatch, scale, PDDM.forward)
    assert "def scale(S: Tensor" in text and "\n    return (S - low) / torch.clamp(" in text
    assert "\ndef forward(self" in text and "# u = |f_i - f_j|" in text and '"""' not in text
    assert inspect.getsource(scale).rstrip() in shown(monkeypatch, scale, doc=True)


def test_code_without_a_docstring_stays_whole(monkeypatch):
    def bare(x):
        return x + 1

    assert shown(monkeypatch, bare) == "```python\ndef bare(x):\n    return x + 1\n```"
