import { MemoryStore } from "@hilok/core"
import { suite } from "@hilok/testing"

suite("MemoryStore", MemoryStore.layer(), { delegations: true })
