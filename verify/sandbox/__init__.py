"""A local MLflow behind single sign-on, so that examples that need one can run."""

from verify.sandbox.life import down, running, up
from verify.sandbox.state import Sandbox, SandboxError

__all__ = ["Sandbox", "SandboxError", "down", "running", "up"]
