#!/usr/bin/env node
/**
 * The entry of the binary. It is small, so that signals are handled before the rest is loaded.
 */
import "./internal/signals.ts"

const { main } = await import("./main.ts")
main(process.argv.slice(2))
