// Compiles every page below a folder with the real MDX compiler, and says what is broken
// as file:line:column, because a page that compiles here builds on the platform too.
import { readFile, readdir } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { compile } from "@mdx-js/mdx";
import remarkFrontmatter from "remark-frontmatter";
import remarkGfm from "remark-gfm";

const folder = resolve(process.argv[2] ?? "pages");
const entries = await readdir(folder, { recursive: true, withFileTypes: true });
const pages = entries
  .filter((entry) => entry.isFile() && entry.name.endsWith(".mdx"))
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
  .sort();
if (pages.length === 0) {
  console.error(`mdx: there is no .mdx page in ${folder}`);
  process.exit(1);
}

let broken = 0;
for (const page of pages) {
  try {
    await compile(
      { value: await readFile(page), path: page },
      { remarkPlugins: [remarkFrontmatter, remarkGfm] },
    );
  } catch (error) {
    if (!error.reason) throw error; // not a finding of the compiler
    const line = error.line ?? error.place?.start?.line ?? 1;
    const column = error.column ?? error.place?.start?.column ?? 1;
    console.error(`${relative(folder, page)}:${line}:${column}: ${error.reason}`);
    broken += 1;
  }
}
if (broken > 0) {
  console.error(`mdx: ${broken} of ${pages.length} pages do not compile`);
  process.exit(1);
}
console.log(`mdx: ${pages.length} pages compile`);
