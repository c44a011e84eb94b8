/**
 * The user in docs/production.md, who may do no more than a store needs.
 */
import { readFileSync } from "node:fs"

const page = readFileSync(new URL("../../../../docs/production.md", import.meta.url), "utf8")

const words = (text: string | undefined): ReadonlyArray<string> =>
  (text ?? "").replace(/\\\n/g, " ").replaceAll("'", "").split(/\s+/)

/** The command that makes the user, as a shell reads it. */
export const command = words(/redis-cli (ACL SETUSER[\s\S]*?)\n```/.exec(page)?.[1])

export const username = "locks"
export const password = command.find((word) => word.startsWith(">"))?.slice(1) ?? ""

/** What the page says that `replicas` needs besides, and what a Cluster does. */
export const wait = /`replicas`[^`]*`(\+wait)`/.exec(page)?.[1] ?? ""
export const cluster = words(/On a Redis Cluster add\s+`([^`]*)`/.exec(page)?.[1])
