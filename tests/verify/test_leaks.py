"""What a folder of secrets holds is searched for, the private parts of a key too."""

from __future__ import annotations

import json

from verify import leaks


def test_the_private_parts_of_a_key_are_secrets_and_its_public_ones_are_not(tmp_path):
    public = {"kty": "RSA", "n": "a-modulus", "e": "AQAB", "kid": "a-name-of-it"}
    private = {name: f"the-part-{name}" for name in ("d", "p", "q", "dp", "dq", "qi")}
    (tmp_path / "signing-key.json").write_text(json.dumps({**public, **private}))
    known = leaks.secrets(tmp_path)
    assert leaks.names(json.dumps(public), known) == []
    for part in private.values():
        assert leaks.names(f"a line with {part} in it", known) == ["signing-key.json"]
