"""A server follows the registry: it waits, loads, exchanges, and keeps what works."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from adapters.errors import AdapterError, Corrupt, NotFound, Transient
from adapters.ports import ModelRegistry
from runtime.domain.problems import Problem
from runtime.domain.reference import Reference
from runtime.serve.meters import Meters
from runtime.serve.reload import Follower
from runtime.serve.shelf import Change, Shelf
from tests.runtime.recipes import train


def loaded(registry: ModelRegistry, *texts: str) -> Shelf:
    shelf = Shelf(registry, [Reference.parse(text) for text in texts])
    shelf.load(lambda change: None)
    assert shelf.ready
    return shelf


def refreshed(shelf: Shelf) -> list[str]:
    changes: list[Change] = []
    shelf.refresh(changes.append)
    return [change.sentence for change in changes]


def test_the_first_reference_of_a_name_is_its_default(registry: ModelRegistry) -> None:
    train(registry)
    train(registry, seed=1)
    shelf = loaded(registry, "clouds:1", "clouds:2")
    assert shelf.find("clouds").version == 1
    assert shelf.find("clouds", "2").version == 2
    assert [model.version for model in shelf.view.versions("clouds")] == [1, 2]


def test_two_references_to_one_version_load_it_once(registry: ModelRegistry) -> None:
    train(registry)
    shelf = loaded(registry, "clouds", "clouds:1")
    assert shelf.find("clouds") is shelf.find("clouds", "1") is shelf.find("clouds", "champion")


def test_a_moved_alias_is_followed_and_what_was_found_before_still_answers(registry: ModelRegistry) -> None:
    train(registry)
    shelf = loaded(registry, "clouds")
    before = shelf.find("clouds")
    second = train(registry, force=True).version
    (sentence,) = refreshed(shelf)
    assert sentence.startswith(f"clouds@champion is version {second.version}, digest")
    assert shelf.find("clouds").version == second.version
    assert before.version == 1
    assert before.infer({"point": np.zeros((1, 2), dtype=np.float32)})["class"].shape == (1,)


def test_an_unchanged_registry_costs_one_question_a_model_and_no_load(registry: ModelRegistry) -> None:
    train(registry)
    asked: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            asked.append(name)
            return getattr(registry, name)

    shelf = loaded(Watched(), "clouds")  # type: ignore[arg-type]
    asked.clear()
    assert refreshed(shelf) == []
    assert asked == ["epoch"]


def test_a_pinned_version_stays_when_the_alias_moves(registry: ModelRegistry) -> None:
    train(registry)
    shelf = loaded(registry, "clouds:1")
    train(registry, force=True)
    assert refreshed(shelf) == []
    assert shelf.find("clouds").version == 1


def test_an_alias_moved_to_a_corrupt_version_leaves_the_old_one_and_is_told_by_name_and_digest(
    registry: ModelRegistry,
) -> None:
    train(registry)
    shelf = loaded(registry, "clouds")
    bad = registry.register("clouds", {"model.json": b"{}"})
    registry.set_alias("clouds", "champion", bad.version)
    (sentence,) = refreshed(shelf)
    assert sentence.startswith("clouds@champion stays as it is: clouds:2: model.json cannot be read")
    assert shelf.find("clouds").version == 1
    assert refreshed(shelf) == [sentence], "it is tried again until it is mended"
    registry.set_alias("clouds", "champion", 1)
    assert refreshed(shelf) == []


def test_a_removed_alias_leaves_the_version_that_is_served(registry: ModelRegistry) -> None:
    train(registry)
    shelf = loaded(registry, "clouds")
    registry.set_alias("clouds", "champion", None)
    assert "stays as it is" in refreshed(shelf)[0]
    assert shelf.find("clouds").version == 1


def test_a_model_that_is_not_registered_yet_is_waited_for(registry: ModelRegistry) -> None:
    shelf = Shelf(registry, [Reference("clouds")])
    said: list[str] = []
    waiting = threading.Event()

    def say(sentence: str) -> None:
        said.append(sentence)
        waiting.set()

    follower = Follower(shelf, Meters(), say=say)

    async def scenario() -> None:
        loading = asyncio.create_task(follower.first(every_seconds=0.01))
        assert await asyncio.get_running_loop().run_in_executor(None, waiting.wait, 10)
        assert not shelf.ready
        await asyncio.get_running_loop().run_in_executor(None, train, registry)
        await asyncio.wait_for(loading, 20)

    asyncio.run(scenario())
    assert said == ["waiting for clouds@champion, which is not registered yet", said[1]]
    assert said[1].startswith("clouds@champion is version 1, digest")
    assert follower.last_failure == ""


def test_a_corrupt_model_at_the_start_is_an_error_and_not_waited_for(registry: ModelRegistry) -> None:
    registry.register("clouds", {"model.json": b"{}"})
    registry.set_alias("clouds", "champion", 1)
    with pytest.raises(Corrupt, match="clouds:1"):
        Shelf(registry, [Reference("clouds")]).load(lambda change: None)


@pytest.mark.parametrize("error", [Transient("no answer"), NotFound("gone")])
def test_a_registry_that_fails_later_changes_nothing(registry: ModelRegistry, error: AdapterError) -> None:
    train(registry)
    shelf = loaded(registry, "clouds")

    class Failing:
        def epoch(self, model: str) -> int:
            raise error

    shelf._registry = Failing()  # type: ignore[assignment]
    meters = Meters()
    follower = Follower(shelf, meters, say=lambda sentence: None)
    asyncio.run(follower.look())
    assert shelf.find("clouds").version == 1
    assert meters.reload_failures == 1
    assert "stays as it is" in follower.last_failure


def test_a_defect_while_following_is_shown_and_following_goes_on(
    registry: ModelRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    train(registry)
    shelf = loaded(registry, "clouds")
    looks = threading.Semaphore(0)

    class Broken:
        def epoch(self, model: str) -> int:
            looks.release()
            raise ZeroDivisionError("ours")

    shelf._registry = Broken()  # type: ignore[assignment]
    follower = Follower(shelf, Meters(), say=lambda sentence: None)

    async def scenario() -> None:
        following = asyncio.create_task(follower.follow(every_seconds=0.001))
        for _ in range(3):
            assert await asyncio.get_running_loop().run_in_executor(None, looks.acquire, True, 10)
        following.cancel()

    asyncio.run(scenario())
    assert "ZeroDivisionError: ours" in capsys.readouterr().err
    assert follower.last_failure == "defect: ZeroDivisionError: ours"
    assert shelf.find("clouds").version == 1


def test_an_unknown_model_or_version_lists_what_there_is(registry: ModelRegistry) -> None:
    train(registry)
    shelf = loaded(registry, "clouds")
    with pytest.raises(Problem, match="no model 'fog' is served here: there are clouds"):
        shelf.find("fog")
    with pytest.raises(Problem, match="version '7' of clouds is not loaded; loaded: 1"):
        shelf.find("clouds", "7")
