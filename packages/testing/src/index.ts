/**
 * For authors of stores: the contract suite, and what it is made of.
 *
 * @module @hilok/testing
 * @since 0.1.0
 */
export * as Command from "./Command.ts"
export * as Conformance from "./Conformance.ts"
export * as Driver from "./Driver.ts"
export * as Reference from "./Reference.ts"
export * as Session from "./Session.ts"
export { type SuiteOptions, suite } from "./suite.ts"
