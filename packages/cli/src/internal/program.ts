/**
 * What the commands do, and all that it needs: loaded when one of them is asked for.
 */
export { breakLeases } from "./break.ts"
export { acquire, refresh, release } from "./byHand.ts"
export { candidates } from "./candidates.ts"
export { doctor } from "./doctor.ts"
export { execute } from "./execute.ts"
export { ls } from "./ls.ts"
export { run } from "./run.ts"
export { show } from "./show.ts"
