// rspress' own, for pages that do not import it.
export { Badge as default } from "@rspress/core/theme";
