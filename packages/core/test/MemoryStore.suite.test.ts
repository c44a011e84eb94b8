import { MemoryStore } from "@hilok/core"
import { suite } from "@hilok/core/testing"

suite("MemoryStore", MemoryStore.layer())
