#!/usr/bin/env node
/**
 * The entry of the binary. It is small, so that signals are handled before the rest is loaded.
 */
import "./internal/signals.ts"
import * as module from "node:module"

// Keeps compiled code between runs, in Node 22.1 and later.
if ("enableCompileCache" in module && typeof module.enableCompileCache === "function") module.enableCompileCache()

const { main } = await import("./main.ts")
main(process.argv.slice(2))
