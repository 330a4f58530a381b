// The list that explains the callouts of the code block above it.
import type { ReactNode } from "react";

export default function Callouts({ children }: { children: ReactNode }) {
  return <div className="callouts">{children}</div>;
}
