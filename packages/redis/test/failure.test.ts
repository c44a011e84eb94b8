import { assert, describe, it } from "@effect/vitest"
import { LockError } from "@hilok/core"
import * as failure from "../src/internal/failure.ts"

/** What servers, sockets and ioredis say, the kind that it is, and the words for it. */
const told = [
  ["WRONGPASS invalid username-password pair or user is disabled.", "denied", "refuses the user or the password"],
  ["NOAUTH Authentication required.", "denied", "refuses the user or the password"],
  ["ERR invalid password", "denied", "refuses the user or the password"],
  ["NOPERM this user has no permissions to run the 'evalsha' command", "denied", "may not run the store's commands"],
  [
    "ERR The user executing the script can't run this command or subcommand",
    "denied",
    "may not run the store's commands"
  ],
  ["DENIED Redis is running in protected mode", "denied", "protected mode"],
  ["WRONGTYPE Operation against a key holding the wrong kind of value", "other", "holds something else"],
  ["OOM command not allowed when used memory > 'maxmemory'.", "full", "out of memory"],
  ["ERR Error running script (call to f_1): @user_script:7: -OOM command not allowed", "full", "out of memory"],
  ["ERR Error running script (call to f_1): @user_script: 7: OOM command not allowed", "full", "out of memory"],
  ["MISCONF Redis is configured to save RDB snapshots, but it is unable to", "full", "cannot save its data"],
  ["LOADING Redis is loading the dataset in memory", "busy", "loading its data"],
  ["Ready check failed: LOADING Redis is loading the dataset in memory", "busy", "loading its data"],
  ["READONLY You can't write against a read only replica.", "busy", "read-only replica"],
  ["ERR Error running script (call to f_1): -READONLY You can't write", "busy", "read-only replica"],
  ["MASTERDOWN Link with MASTER is down", "busy", "has lost its primary"],
  ["NOREPLICAS Not enough good replicas to write.", "busy", "fewer replicas"],
  ["UNBLOCKED force unblock from blocking operation", "busy", "changed its role"],
  ["BUSY Redis is busy running a script.", "busy", "busy with a script"],
  ["ERR max number of clients reached", "busy", "as many clients as it takes"],
  ["CLUSTERDOWN The cluster is down", "busy", "the Cluster is down"],
  ["MOVED 3999 127.0.0.1:6381", "other", "part of a Redis Cluster: name its nodes"],
  ["ASK 3999 127.0.0.1:6381", "other", "part of a Redis Cluster: name its nodes"],
  ["TRYAGAIN Multiple keys request during rehashing of slot", "busy", "on its way to another node"],
  ["Too many Cluster redirections. Last error: Error: Connection is closed.", "busy", "nobody serves the slot"],
  ["Failed to refresh slots cache.", "connection", "no node of the Cluster"],
  ["None of startup nodes is available", "connection", "no node of the Cluster"],
  ["ERR This instance has cluster support disabled", "other", "not part of a Redis Cluster"],
  ["connect ECONNREFUSED 127.0.0.1:1", "connection", "nothing listens"],
  ["connect ENOENT /tmp/redis.sock", "connection", "nothing listens"],
  ["getaddrinfo ENOTFOUND redis.invalid", "connection", "host name is not known"],
  ["getaddrinfo EAI_AGAIN redis.invalid", "connection", "host name is not known"],
  ["connect EHOSTUNREACH 10.0.0.1:6379", "connection", "no way to the address"],
  ["connect ENETUNREACH 10.0.0.1:6379", "connection", "no way to the address"],
  ["connect ETIMEDOUT", "timeout", "did not answer in time"],
  ["Command timed out", "timeout", "did not answer in time"],
  ["Connection is closed.", "connection", "the connection is closed"],
  ["read ECONNRESET", "connection", "the connection is closed"],
  ["write EPIPE", "connection", "the connection is closed"],
  ["Reached the max retries per request limit (which is 20).", "connection", "the connection is closed"],
  ["Stream isn't writeable and enableOfflineQueue options is false", "connection", "the connection is closed"]
] as const

describe("an error of the store", () => {
  it.each(told)("%s", (message, kind, words) => {
    const error = failure.fromError("refresh", new Error(message))
    assert.strictEqual(error.kind, kind)
    assert.include(error.reason, words)
    // What the server said is there, too.
    assert.include(error.reason, message)
    assert.strictEqual(error.operation, "refresh")
  })

  it("is of no kind of its own when nobody knows what was said", () => {
    const error = failure.fromError("refresh", new Error("ERR something new"))
    assert.deepStrictEqual([error.kind, error.reason], ["other", "ERR something new"])
    assert.strictEqual(failure.fromError("refresh", "not an error").kind, "other")
  })

  it("is of the first of several addresses that were tried", () => {
    const both = new AggregateError([new Error("connect ECONNREFUSED ::1:1"), new Error("connect ETIMEDOUT")])
    assert.strictEqual(failure.fromError("connect", both).kind, "connection")
  })

  it("that is one already stays as it is", () => {
    const error = failure.closed("release")
    assert.strictEqual(failure.fromError("connect", error), error)
  })

  it("that the store itself makes has a kind", () => {
    assert.strictEqual(failure.timedOut("refresh", 5).kind, "timeout")
    assert.strictEqual(failure.notReady("connect", 5).kind, "timeout")
    assert.strictEqual(failure.closed("refresh").kind, "closed")
    assert.strictEqual(failure.refused("acquire", "too large").kind, "other")
  })

  it("keeps nothing of the command, which may hold a password", () => {
    const said = Object.assign(new Error("WRONGPASS no"), { command: { name: "auth", args: ["secret"] } })
    const error = failure.fromError("connect", said)
    assert.instanceOf(error, LockError.StoreError)
    assert.notInclude(JSON.stringify(error) + String(error.cause) + JSON.stringify(error.cause), "secret")
  })
})
