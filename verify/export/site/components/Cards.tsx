// A row of cards.
import type { ReactNode } from "react";

export default function Cards({ children }: { children: ReactNode }) {
  return <div className="cards">{children}</div>;
}
