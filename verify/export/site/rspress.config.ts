// Builds the exported tree as a site: dead links, dead anchors and unknown components
// fail here. Files that the export copied beside the pages are no pages of rspress.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "@rspress/core";

const pages = process.env.HANDBOOK_MDX_PAGES ?? "pages";
const isFile = (url: string) =>
  url.startsWith("/") && existsSync(join(pages, "public", url));

export default defineConfig({
  root: pages,
  outDir: process.env.HANDBOOK_MDX_SITE ?? "site",
  title: "The Fine-Tuning Handbook",
  llms: false,
  markdown: {
    // What the subset has and rspress does not know without an import.
    globalComponents: ["Callouts", "Card", "Cards"].map((name) =>
      join(import.meta.dirname, "components", `${name}.tsx`),
    ),
    link: { checkDeadLinks: { excludes: isFile }, checkAnchors: true },
  },
});
