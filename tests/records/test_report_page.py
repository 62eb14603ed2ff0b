"""The page of a run needs nothing but itself and takes nothing of a run for markup."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from records_rows import START, call, failure, worker

from scalable_core.records.reading import RunHistory
from scalable_core.records.report import report_document, report_page
from scalable_core.records.report.charts import BINS, MOST_SPANS, chart_data, join, means
from scalable_core.records.report.document import make_report

HOSTILE = "</script></title><img src=x onerror=alert(1)>&amp;\"'\u2028"
BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


class Page(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, and the text in each kind."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        self.text[self._open] = self.text.get(self._open, "") + data


def hostile_run(made) -> RunHistory:
    """A run whose every name and message is an attack."""
    return made(
        record={
            "project": HOSTILE,
            "target": HOSTILE,
            "status": "failed",
            "error": HOSTILE,
            "version": HOSTILE,
        },
        tasks=[
            call(1, task=HOSTILE, key=HOSTILE, worker=HOSTILE, component=HOSTILE),
            call(2, task=HOSTILE, state="failed", worker=HOSTILE),
            call(3, task=HOSTILE, state="cached", started=None),
        ],
        workers=[worker(HOSTILE)],
        resources=[
            {
                "time": START + n,
                "workers": 1,
                "threads": 1,
                "queued": 0,
                "running": 1,
                "memory": {HOSTILE: 100},
            }
            for n in range(3)
        ],
        failures=[
            failure(
                n,
                task=HOSTILE,
                worker=HOSTILE,
                kind=kind,
                type=HOSTILE,
                message=HOSTILE,
                log=[HOSTILE],
                limit=9,
            )
            for n, kind in enumerate(["error", "memory", "timeout", "worker-lost"])
        ],
        cache=[{"time": START, "event": "damaged", "task": HOSTILE, "detail": HOSTILE}],
        artifacts=[
            {
                "uri": f"s3://{HOSTILE}",
                "digest": "sha256:0",
                "size": 1,
                "media_type": HOSTILE,
                "run": "r",
                "task": HOSTILE,
                "created": "2023",
                "provider": "aws",
            }
        ],
        plan={"tasks": {HOSTILE: {"component": HOSTILE}}},
    )


def large_run(made, calls: int) -> RunHistory:
    """A run of many short calls of four tasks on eight workers, one in a thousand failed."""
    chance = random.Random(3)
    free = [1.0] * 8
    rows = []
    for number in range(calls):
        place = min(range(8), key=free.__getitem__)
        begin, seconds = START + free[place], chance.uniform(0, 1.5e3 / calls)
        free[place] += seconds
        rows.append(
            call(
                number,
                task=f"task{chance.randrange(4)}",
                state="failed" if number % 1000 == 7 else "done",
                started=begin,
                finished=begin + seconds,
                worker=f"model-{place}",
            )
        )
    return made(tasks=rows, workers=[worker(f"model-{n}") for n in range(8)])


def test_the_page_can_load_nothing(made) -> None:
    """No element refers to anything, its policy forbids what is not in it, and its style imports nothing."""
    page = Page(report_page(make_report(hostile_run(made))))

    refering = {
        "src",
        "href",
        "srcset",
        "action",
        "data",
        "poster",
        "background",
        "ping",
        "formaction",
    }
    assert [found for found in page.elements if refering & found[1].keys()] == []
    assert {tag for tag, _ in page.elements} & {
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    } == set()
    policy = next(
        a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none';")
    assert "url(" not in page.text["style"]
    assert "@import" not in page.text["style"]
    for request in (
        "fetch(",
        "XMLHttpRequest",
        "import(",
        "WebSocket",
        "innerHTML",
        "document.write",
        "eval(",
    ):
        assert request not in page.text["script"].replace(json.dumps(HOSTILE), "")


def test_hostile_names_stay_text(made) -> None:
    """Task names, messages, log lines, workers and the rest can neither end an element nor begin one."""
    text = report_page(make_report(hostile_run(made)))
    page = Page(text)

    assert text.count("<script") == text.count("</script>") == 2
    assert "<img" not in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") > 20
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert any(attributes.get("data-worker") == HOSTILE for _, attributes in page.elements)


def test_the_data_are_in_the_page_as_json(made) -> None:
    """Programs can read what people see, whatever the names are."""
    report = make_report(hostile_run(made))
    text = report_page(report)

    embedded = re.search(
        r'<script type="application/json" id="report">(.*?)</script>', text, re.DOTALL
    )
    document = json.loads(embedded[1])
    charts = document.pop("charts")
    assert document == json.loads(json.dumps(report_document(report)))
    assert document["schema"] == "scalable.report/1"
    assert charts["tasks"] == [HOSTILE]


def test_sections_without_content_are_left_out(made) -> None:
    """A run without failures, cache or artifacts has no headings for them."""
    titles = re.findall(
        "<h2>(.*?)</h2>", report_page(make_report(made(tasks=[call(1)], workers=[worker()])))
    )
    everything = re.findall("<h2>(.*?)</h2>", report_page(make_report(hostile_run(made))))

    assert titles == ["Timeline", "Queue and workers", "Tasks", "Memory", "Sizes advised"]
    assert {"What failed", "Cache", "Artifacts"} <= set(everything)


def test_an_empty_run_has_a_page(made) -> None:
    """A run that was killed before its first call ended."""
    assert "No task ended" in report_page(make_report(made(record={"status": "interrupted"})))


def test_many_calls_are_few_bars_and_no_failure_is_hidden(made) -> None:
    """The page stays small, every call is counted, and failed calls are joined with failed ones only."""
    charts = chart_data(large_run(made, 60_000))

    lanes = charts["lanes"]
    assert sum(len(lane["from"]) for lane in lanes) <= MOST_SPANS
    assert sum(sum(lane["calls"]) for lane in lanes) == 60_000
    failed = [
        n
        for lane in lanes
        for n, state in zip(lane["calls"], lane["state"], strict=True)
        if state == 1
    ]
    assert sum(failed) == 60
    assert len(json.dumps(charts)) < 700_000


def test_neighbours_are_joined_only_when_they_look_alike() -> None:
    """Short bars of one task without a gap that can be seen."""
    short = [
        (0.0, 0.1, 0, 0, 1),
        (0.1, 0.2, 0, 0, 1),
        (0.25, 0.3, 1, 0, 1),
        (0.3, 0.4, 1, 1, 1),
        (9.0, 9.1, 1, 1, 1),
    ]

    assert join(short, 0.5) == [
        (0.0, 0.2, 0, 0, 2),
        (0.25, 0.3, 1, 0, 1),
        (0.3, 0.4, 1, 1, 1),
        (9.0, 9.1, 1, 1, 1),
    ]
    assert join(short, 0.5, mixed=True)[0] == (0.0, 0.3, -1, 0, 3)
    assert join(short, 0.01) == short


def test_calls_that_overlap_have_lanes_of_their_own(made) -> None:
    """A worker with two threads has two rows."""
    rows = [call(1), call(1, key="b"), call(2, key="c")]
    lanes = chart_data(made(tasks=rows, workers=[worker(threads=2)]))["lanes"]

    assert [(lane["worker"], len(lane["from"])) for lane in lanes] == [
        ("model-0", 2),
        ("model-0", 1),
    ]


def test_means_are_exact() -> None:
    """What a curve encloses is what was spent."""
    chance = random.Random(1)
    spans = [(begin, begin + chance.uniform(0, 30), chance.randrange(1, 4)) for begin in range(40)]
    curve = means(spans, 0.0, 80.0)

    assert len(curve) == BINS
    assert sum(curve) * 80 / BINS == pytest.approx(sum((e - b) * w for b, e, w in spans), rel=1e-3)
    assert means([(0, 80, 2)], 0.0, 80.0) == [2.0] * BINS
    assert means([(-5, 900, 1)], 0.0, 80.0) == [1.0] * BINS


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
@pytest.mark.parametrize("run", ["hostile", "large"])
def test_a_browser_draws_the_charts(made, tmp_path: Path, run: str) -> None:
    """The page's own script runs under its policy, and no name of a run does."""
    history = hostile_run(made) if run == "hostile" else large_run(made, 10_000)
    page = tmp_path / "report.html"
    page.write_text(report_page(make_report(history)), encoding="utf-8")
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=60000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip

    drawn = Page(done.stdout)
    assert sum(tag == "path" for tag, _ in drawn.elements) >= 5
    assert "img" not in {tag for tag, _ in drawn.elements}
    assert ("path", "failed") in {
        (tag, attributes.get("class")) for tag, attributes in drawn.elements
    }
