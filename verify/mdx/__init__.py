"""Reads guides written in MDX: a declared subset, translated line by line to MyST."""

from verify.mdx.problem import Problem
from verify.mdx.translate import Translation, translate
from verify.mdx.vocabulary import Components, Site

__all__ = ["Components", "Problem", "Site", "Translation", "translate"]
