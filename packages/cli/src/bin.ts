#!/usr/bin/env node
/**
 * The entry of the binary. Signals are handled before anything else is done.
 */
import "./internal/signals.ts"
import { main } from "./main.ts"

void main(process.argv.slice(2))
