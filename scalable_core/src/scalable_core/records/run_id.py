"""Names of runs: they sort by time, and people can say them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

_ADJECTIVES = (
    "able amber ample apt azure bold brave brief bright brisk broad calm candid clear clever "
    "cosy crisp deep deft eager early easy even fair fine firm fleet fond frank fresh gentle "
    "glad golden good grand hardy honest humble keen kind late light lively loyal lucid lucky "
    "mellow merry mild modest neat noble olive open patient plain polite prompt proud pure "
    "quick quiet rapid ready rosy round sharp silent simple sleek smooth snug sober solid "
    "steady still sturdy subtle sunny swift tidy trim true vivid warm wide wise witty young "
    "zesty"
).split()
_NOUNS = (
    "ant auk badger bat bear bee bison boar bream carp cat cicada clam cod colt coot crab "
    "crane crow curlew deer dingo dove duck eagle eel egret elk ewe falcon finch fox frog "
    "gecko gnu goat goose grouse gull hare hawk heron hornet horse ibex ibis jay kite kiwi "
    "koala lark lemur linnet lion llama loon lynx magpie mole moose moth mouse mule newt "
    "oriole osprey otter owl ox panda perch pike plover pony puffin quail ram raven robin "
    "rook seal shrew skylark snail snipe stag stork swan swift tapir teal tern thrush tiger "
    "toad trout vole walrus wasp whale wren yak zebra"
).split()


def new_run_id(now: datetime | None = None) -> str:
    """Return ``run-<date>-<time>-<two words>-<4 hex>``, in UTC.

    Args:
        now: The time of the run's start; the present when None.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    words = f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}"
    return f"run-{moment:%Y%m%d-%H%M%S}-{words}-{secrets.token_hex(2)}"
