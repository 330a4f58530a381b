"""Lists the components, containers and HTML elements that a guide may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

CONTAINERS = ("note", "tip", "info", "warning", "caution", "danger", "important")
FOLDED = "details"
LISTED = "callouts"  # the list of <Callouts>, written as a container

# The words of a guide that come from configuration, so that one source serves two
# products: a term has a text, a site has a title and an address.


@dataclass(frozen=True)
class Site:
    """Another documentation site that guides link to."""

    title: str
    url: str


# How a component that only another project knows may be shown, beside the name of a
# component of the subset that it then stands for.
WAYS = ("children", "note", "link")


@dataclass(frozen=True)
class Components:
    """What the project says of names that guides use.

    Attributes
    ----------
    terms
        The text of each ``<Term name>``.
    sites
        The title and the address of each ``<ExternalSite name>``.
    mapped
        How a component that is no part of the subset is shown: one of ``WAYS``, or the
        name of a component that is a part.
    aliases
        The folder, from the root of the repository, that stands for the first part of
        an imported path, such as ``@en``.
    """

    terms: Mapping[str, str] = field(default_factory=dict)
    sites: Mapping[str, Site] = field(default_factory=dict)
    mapped: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """A component that stands on lines of its own, and the attributes it takes."""

    kind: str
    shown: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # one of these must be there
    ignored: tuple[str, ...] = ()  # only another renderer's look depends on them
    empty: bool = False  # it has no content, so it is written <X />
    inside: str = ""
    texts: tuple[str, ...] = ()  # attributes that may hold the text of a file


_TAB_LOOK = ("groupId", "defaultValue", "defaultIndex", "values", "tabPosition")
_TAB_LOOK += ("tabContentClassName", "queryString", "className", "block", "lazy")
_CARD_LOOK = ("icon", "className", "style", "arrow")
BLOCKS = {
    "Tabs": Block("tabs", ignored=_TAB_LOOK),
    "Tab": Block(
        "tab",
        ("label", "value"),
        ("label", "value"),
        ("disabled", "default", "className", "attributes"),
        inside="Tabs",
    ),
    "Steps": Block("steps"),
    "Callouts": Block("callouts"),
    "Cards": Block("cards", ignored=("num", "className", "cols")),
    "Card": Block("card", ("title", "href", "description"), ("title",), _CARD_LOOK),
    "LinkCard": Block(
        "card", ("title", "href", "description"), ("title",), _CARD_LOOK, empty=True
    ),
    "Directive": Block("admonition", ("type", "title"), ("type",)),
    "Callout": Block("admonition", ("type", "title"), (), ("emoji",)),
    "Overview": Block(
        "overview",
        ignored=("overviewHeaders", "groups", "defaultGroupTitle", "content"),
        empty=True,
    ),
    "PackageManagerTabs": Block(
        "packages",
        ("command",),
        ("command",),
        ("additionalTabs", "exec", "dlx"),
        empty=True,
    ),
}
BLOCKS["TabItem"] = BLOCKS["Tab"]
BLOCKS["PageTabs"] = Block("tabs", ignored=(*_TAB_LOOK, "id"))
BLOCKS["PageTab"] = replace(BLOCKS["Tab"], inside="PageTabs")
BLOCKS["NoSSR"] = Block("fragment")
BLOCKS["CodeBlockRuntime"] = Block(
    "listing",
    ("code", "lang", "title"),
    ("code",),
    ("shikiOptions", "containerElementClassName", "codeButtonGroupProps"),
    empty=True,
    texts=("code",),
)
BLOCKS["JsonViewer"] = Block(
    "listing", ("value",), ("value",), ("defaultExpanded", "readonly"), empty=True
)
BLOCKS["Prompt"] = Block(
    "prompt", ("title", "description", "prompt"), (), ("custom",), texts=("prompt",)
)
WORDS = {
    "SourceCode": ("href",),
    "Tag": ("tag",),
    "Outcome": ("name", "format"),
    "Receipt": ("name", "format"),
    "Term": ("name", "textCase"),
    "ExternalSite": ("name", "href"),
    "ExternalSiteLink": ("name", "href", "children"),
    "Badge": ("text", "type", "outline", "children"),
    "ApiMeta": ("addedVersion", "deprecatedVersion", "removedVersion", "inline"),
}
# What <ApiMeta> says of each version it is given.
SINCE = {"addedVersion": "Added", "deprecatedVersion": "Deprecated"}
SINCE |= {"removedVersion": "Removed"}
# What prints a measured number; verify.sphinx_ext has a role of the same name for each.
MEASURED = ("Outcome", "Receipt")
# What the platform's own build generates from data that is not here. A page shows a
# visible line in its place, so that its absence cannot be overlooked.
ELSEWHERE = frozenset(
    "K8sCrd K8sAPI K8sPermissionTable OpenAPIPath OpenAPIRef AcpApisOverview "
    "ExternalApisOverview ReleaseNotes JiraIssues TermsTable".split()
)
# Modules whose components are built in here, so importing them changes nothing.
BUILT_IN = (
    "rspress/theme",
    "rspress/runtime",
    "@rspress/core/theme",
    "@rspress/core/theme-original",
    "@rspress/core/runtime",
    "@theme",
    "@theme/Tabs",
    "@theme/TabItem",
    "@alauda/doom/runtime",
    "@alauda/doom/theme",
    "nextra/components",
)
INLINE = frozenset(
    "a abbr b bdi br cite code del dfn em i img ins kbd mark q s samp small span "
    "strong sub sup time u var wbr".split()
)
BLOCK = frozenset(
    "article aside blockquote caption center col colgroup dd details div dl dt "
    "figcaption figure footer h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section "
    "summary table tbody td tfoot th thead tr ul audio picture source track "
    "video".split()
)
VOID = frozenset({"br", "col", "hr", "img", "source", "track", "wbr"})
IN_TEXT = frozenset({"br", "img", "wbr"})  # void elements that are a part of a text
RENAMED = {"className": "class", "htmlFor": "for", "colSpan": "colspan"}
RENAMED |= {"rowSpan": "rowspan", "tabIndex": "tabindex", "dateTime": "datetime"}
UNITLESS = frozenset(
    "opacity zIndex fontWeight lineHeight flex flexGrow flexShrink order zoom "
    "columnCount gridRow gridColumn aspectRatio".split()
)
