/**
 * The tests start the binary as it would be published, so it is compiled first.
 */
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

export default (): void => {
  const script = fileURLToPath(new URL("../../../scripts/build.mjs", import.meta.url))
  execFileSync(process.execPath, [script, "packages/cli"], { stdio: "inherit" })
}
