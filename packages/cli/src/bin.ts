#!/usr/bin/env node
import { main } from "./Cli.ts"
import { runMain } from "./internal/runMain.ts"

runMain(main(process.argv))
