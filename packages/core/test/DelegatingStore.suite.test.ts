import { DelegatingStore, MemoryStore } from "@hilok/core"
import { suite } from "@hilok/testing"
import { Layer } from "effect"

suite("DelegatingStore over MemoryStore", Layer.provide(DelegatingStore.layer({ widen: true }), MemoryStore.layer()))
