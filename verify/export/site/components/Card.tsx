// A title, which may be a link to a page, and a text.
import type { ReactNode } from "react";

type Said = { title: string; href?: string; description?: string; children?: ReactNode };

export default function Card({ title, href, description, children }: Said) {
  const page = href?.replace(/\.mdx?(#|$)/, ".html$1");
  return (
    <div className="card">
      <p>{page ? <a href={page}>{title}</a> : title}</p>
      {description && <p>{description}</p>}
      {children}
    </div>
  );
}
