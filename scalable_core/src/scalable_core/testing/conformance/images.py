"""Images: pinned to what they are now, or refused with a sentence."""

from __future__ import annotations

import re

from scalable_core.errors import ScalableError
from scalable_core.testing.conformance.base import Conformance, skip
from scalable_core.types import ImageRequest, ResolvedImage

#: Nothing listens on this port of this machine.
_NOWHERE = "127.0.0.1:1/conformance/none:1"


class ImageChecks(Conformance):
    """`resolve_image`; those that need an image need `Conformance.image`."""

    def test_an_image_that_is_not_there_is_left_to_the_core_or_refused(self) -> None:
        """No traceback, no digest that was made up."""
        if not self.subject.has("resolve_image"):
            skip("it leaves images to the core")
        request = ImageRequest(reference=_NOWHERE, component="first")
        answer, cure = None, "left to the core"
        try:
            answer = self.subject.host.resolve_image(self.provider, request, self.subject.context)
        except ScalableError as error:
            cure = error.cure or ""
        assert answer is None, f"an image that is not there is pinned to {answer.pinned}"
        assert cure, "the refusal of an image that is not there names no cure"

    def test_an_image_is_pinned_to_its_digest(self) -> None:
        """`pinned` is what is pulled, `digest` is sha256, and the request can be recognised in the answer."""
        answer = self._resolve()
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", answer.digest), f"{answer.digest!r}: no digest"
        assert answer.digest in answer.pinned or "/" not in answer.pinned, (
            f"{answer.pinned} does not name the digest"
        )
        assert answer.reference == self.image, "the answer is about another reference"

    def test_an_image_is_pinned_the_same_way_twice(self) -> None:
        """And a pinned image is pinned to itself."""
        first, again = self._resolve(), self._resolve()
        assert first == again, "the second answer differs"

    def _resolve(self) -> ResolvedImage:
        if self.image is None or not self.subject.has("resolve_image"):
            skip("no image to resolve")
        request = ImageRequest(reference=self.image)
        answer = self.subject.host.resolve_image(self.provider, request, self.subject.context)
        assert answer is not None, f"{self.image} is left to the core"
        return answer
