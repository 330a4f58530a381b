"""One spelling a term, links that lead somewhere, and a text for every image."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from verify.blocks import pages
from verify.words import __main__ as words
from verify.words import images, links, terms

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = """# Glossary

### LoRA

Low rank. [QLoRA](#qlora) adds to it.

*Not:* LORA, Lora.

### QLoRA

*Not:* Q-LoRA.
"""


def said(found):
    return [str(problem) for problem in found]


@pytest.fixture
def parts(small):
    small.write("docs/reference/glossary.md", GLOSSARY)

    def read(text, name="docs/how-to/page.md"):
        return pages.parts(small.write(name, text), small.root)

    return read


def test_a_spelling_that_the_glossary_refuses_is_caught(small, parts):
    text = "# Lora\n\nOne\nand LORA.\n\n| a |\n|---|\n| Q-LoRA |\n"
    assert said(terms.check(parts(text), terms.read(small.root))) == [
        "docs/how-to/page.md:1: 'Lora' is not how the glossary spells it; "
        "write LoRA [term]",
        "docs/how-to/page.md:4: 'LORA' is not how the glossary spells it; "
        "write LoRA [term]",
        "docs/how-to/page.md:8: 'Q-LoRA' is not how the glossary spells it; "
        "write QLoRA [term]",
    ]


def test_code_addresses_and_file_names_are_free_in_their_spelling(small, parts):
    text = (
        "`LORA` in https://x.example/LORA and LORA.md\n\n```text\nLORA\n```\nLoRA-XS\n"
    )
    assert said(terms.check(parts(text), terms.read(small.root))) == []


def test_a_term_in_a_directive_is_read_and_the_glossary_may_list_it(small, parts):
    text = ":::{note} x\nLora\n:::\n\n```{tip}\n\nLora\n```\n"
    found = said(terms.check(parts(text), terms.read(small.root)))
    assert [line.split(":")[1] for line in found] == ["2", "7"]
    glossary = pages.parts(small.root / terms.GLOSSARY[0], small.root)
    assert said(terms.check(glossary, terms.read(small.root))) == []


def test_a_term_in_a_notebook_names_its_cell(small):
    small.write("docs/reference/glossary.md", GLOSSARY)
    part = pages.parts(small.notebook("notebooks/a.ipynb", "ok", "Lora"), small.root)
    [found] = said(terms.check(part, terms.read(small.root)))
    assert found.startswith("notebooks/a.ipynb:cell 2:1: 'Lora'")


def test_a_missing_glossary_is_an_error(small):
    with pytest.raises(terms.GlossaryError, match="there is no glossary: write docs"):
        terms.read(small.root)


def test_a_word_that_stands_in_the_glossary_twice_is_an_error(small):
    small.write("docs/reference/glossary.md", GLOSSARY + "\n### Lora\n")
    with pytest.raises(terms.GlossaryError, match=r"glossary.md:13: 'Lora' stands"):
        terms.read(small.root)


@pytest.mark.parametrize(
    ("text", "line", "shown"),
    [
        ("a\n![](a.png)\n", 2, "a.png"),
        ('x\n\n<img src="b.png">\n', 3, '<img src="b.png">'),
        ('x\n\n<p>\n<img alt=" " src="b.png"></p>\n', 4, '<img alt=" "'),
        ("x <img src='c'> y\n", 1, "<img src='c'>"),
        ("```{figure} d.png\n:width: 3\n\nSay\n```\n", 1, "d.png"),
        (":::{image} e.png\n:::\n", 1, "e.png"),
    ],
)
def test_an_image_without_a_text_is_caught(small, parts, text, line, shown):
    [found] = said(images.check(parts(text)))
    assert found.startswith(f"docs/how-to/page.md:{line}: the image {shown}")


def test_an_image_with_a_text_passes(small, parts):
    text = (
        "![A curve that falls](a.png)\n\n"
        '<img src="b.png" alt="A curve">\n\n'
        "```{figure} c.png\n:alt: A curve\n\nSay\n```\n`![](no)`\n"
    )
    assert said(images.check(parts(text))) == []
    text = '<img\n  src="b.png"\n  alt={title}\n/>\n<img src="x" />\n'
    found = said(images.check(parts(text, "docs/a.mdx")))
    assert [line.split(":")[1] for line in found] == ["5"]


def test_a_link_to_nothing_is_caught(small, parts):
    small.write("README.md", "")
    text = (
        "[a](../reference/glossary.md) [b](../reference/glossary.md#lora)\n"
        "[c](none.md)\n[d](../reference/glossary.md#none)\n[e](#f) [g](/docs/h.md)\n"
        "[i](/README.md) [j](../reference/glossary) [k](mailto:a@b.example)\n"
    )
    assert said(links.internal(parts(text), small.root)) == [
        "docs/how-to/page.md:2: there is no none.md; link to a file of the repository, "
        "by its path from this page [link]",
        "docs/how-to/page.md:3: glossary.md has no heading #none; link to one that it "
        "has [link]",
        "docs/how-to/page.md:4: page.md has no heading #f; link to one that it has "
        "[link]",
        "docs/how-to/page.md:4: there is no /docs/h.md; link to a file of the "
        "repository, by its path from this page [link]",
    ]


def test_headings_labels_and_ids_are_anchors(small):
    text = (
        "# The `x`: a *Title*\n\n## Same\n\n## Same\n\n(label)=\n## Other \\{#own}\n\n"
        '<a id="raw"></a>\n\n```text\n# not\n```\n'
    )
    file = small.write("a.mdx", text)
    assert links.anchors(file, small.root) == {
        "the-x-a-title",
        "same",
        "same-1",
        "label",
        "other",
        "own",
        "raw",
    }


class Server(BaseHTTPRequestHandler):
    """Stands in for the network: pages that are there, gone, or there later."""

    asked: dict = {}

    def do_GET(self):
        self.asked[self.path] = self.asked.get(self.path, 0) + 1
        late = self.path == "/late" and self.asked[self.path] < 3
        code = {"/ok": 200, "/robots": 403, "/down": 500}.get(self.path, 404)
        code = (503 if late else 200) if self.path == "/late" else code
        self.send_response(code)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(links, "NOT_ASKED", links.re.compile(r".*\.example"))
    Server.asked = {}
    running = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_addresses_outside_are_asked_once_and_again_when_a_server_is_down(
    parts, server
):
    names = ["ok", "ok#part", "gone", "late", "robots", "down"]
    text = "\n".join(f"[x]({server}/{name})" for name in names)
    answers = links.external(parts(text + "\n<http://a.example>\n"), wait=0.01)
    told = {a.target.rpartition("/")[2]: a.verdict for a in answers}
    assert told == {
        "ok": "ok",
        "gone": "broken",
        "late": "ok",
        "robots": "refused",
        "down": "broken",
        "a.example": "not asked",
    }
    assert Server.asked["/ok"] == 1
    assert Server.asked["/late"] == Server.asked["/down"] == 3
    first = next(a for a in answers if a.target.endswith("/ok"))
    assert [place.line for place in first.places] == [1, 2]


def test_a_broken_address_fails_the_scheduled_check_and_is_reported(
    small, parts, server, capsys
):
    parts(f"[x]({server}/gone)\n")
    file = small.root / "answers.json"
    given = ["links", "--external", "--root", str(small.root), "--json", str(file)]
    assert words.main(given) == 1
    assert "docs/how-to/page.md:1: http://127" in capsys.readouterr().out
    [link] = json.loads(file.read_text())["links"]
    assert (link["verdict"], link["said"]) == ("broken", "404 Not Found")


def test_the_command_fails_on_a_slip_and_passes_without(small, parts, capsys):
    parts("Lora\n")
    assert words.main(["--root", str(small.root)]) == 1
    assert "docs/how-to/page.md:1: 'Lora'" in capsys.readouterr().out
    parts("LoRA\n")
    assert words.main(["--root", str(small.root)]) == 0


def test_the_book_spells_its_terms_and_links_to_what_exists(capsys):
    assert words.main(["--root", str(ROOT)]) == 0, capsys.readouterr().out
