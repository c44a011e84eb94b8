import { assert, describe, it } from "@effect/vitest"
import { LockPath } from "@hilok/core"
import { Either, FastCheck, Option } from "effect"

const parse = (input: LockPath.Input, separator?: string) => Either.getOrThrow(LockPath.parse(input, separator))

const problem = (input: unknown, separator?: string): string =>
  Either.match(LockPath.parse(input as LockPath.Input, separator), {
    onLeft: (error) => error.reason,
    onRight: (path) => `no problem: ${JSON.stringify(path)}`
  })

/** Any well-formed text without NUL. */
const text = FastCheck.oneof(
  FastCheck.string({
    minLength: 1,
    maxLength: 6,
    unit: FastCheck.constantFrom("a", "b", "/", "%", ":", "2", "F", "5")
  }),
  FastCheck.string({ minLength: 1, maxLength: 6, unit: "grapheme" }),
  FastCheck.string({ minLength: 1, maxLength: 6, unit: "binary" })
).filter((text) => !text.includes("\0"))

const segments = FastCheck.array(text, { maxLength: 6 })

const separator = FastCheck.oneof(
  FastCheck.constantFrom("/", ":", "::", ".", "->", "|", " ", "ab", "//", "\n", "λ", "😀"),
  text.filter((text) => LockPath.separatorProblem(text) === undefined)
)

const bytes = (path: string) => new TextEncoder().encode(path).length

describe("a path", () => {
  it("is its segments, each followed by a slash; the root is the empty string", () => {
    assert.strictEqual(parse("a/b/c"), "a/b/c/")
    assert.strictEqual(parse(["a", "b", "c"]), "a/b/c/")
    assert.strictEqual(parse(""), "")
    assert.strictEqual(parse([]), "")
    assert.strictEqual(parse("/"), LockPath.root)
  })

  it("ignores leading, trailing and doubled separators", () => {
    for (const written of ["a/b", "/a/b", "a/b/", "//a///b//"]) assert.strictEqual(parse(written), "a/b/")
    assert.strictEqual(parse("::a::::b::", "::"), "a/b/")
    assert.strictEqual(parse(":::a", "::"), ":a/")
  })

  it("is the same whatever separator it is written with", () => {
    for (const separator of [":", "::", ".", " -> ", "λ"]) {
      assert.strictEqual(parse(["a", "b", "c"].join(separator), separator), parse("a/b/c"))
    }
  })

  it("escapes the slash and the per cent sign in a segment, and nothing else", () => {
    assert.strictEqual(parse(["a/b", "50%", "%2F"]), "a%2Fb/50%25/%252F/")
    assert.strictEqual(parse("a/b:c", ":"), "a%2Fb/c/")
    assert.strictEqual(parse("50%/x"), "50%25/x/")
    assert.strictEqual(parse(["ä b", "..", "*"]), "ä b/../*/")
  })

  it("is never a prefix of a sibling's", () => {
    assert.isFalse(LockPath.isWithin(parse("ab"), parse("a")))
    assert.isFalse(LockPath.isWithin(parse(["a/b"]), parse("a")))
    assert.isTrue(LockPath.isWithin(parse("a/b"), parse("a")))
    assert.isTrue(LockPath.isWithin(parse("a"), parse("a")))
    assert.isTrue(LockPath.isWithin(parse("a"), LockPath.root))
  })

  it("lies within another exactly when it begins with the other's segments", () => {
    FastCheck.assert(
      FastCheck.property(segments, segments, FastCheck.boolean(), (first, second, below) => {
        const longer = below ? [...first, ...second] : second
        const expected = first.every((segment, i) => segment === longer[i])
        assert.strictEqual(LockPath.isWithin(parse(longer), parse(first)), expected)
      })
    )
  })

  it("gives its segments back", () => {
    FastCheck.assert(
      FastCheck.property(segments, (segments) => {
        assert.deepStrictEqual(Array.from(LockPath.segments(parse(segments))), segments)
      }),
      { numRuns: 500 }
    )
  })

  it("is one path for one list of segments", () => {
    FastCheck.assert(
      FastCheck.property(segments, segments, (first, second) => {
        const same = first.length === second.length && first.every((segment, i) => segment === second[i])
        assert.strictEqual(parse(first) === parse(second), same)
      })
    )
  })
})

describe("a path that is written with a separator", () => {
  it("is read back as the same path, whatever its segments", () => {
    FastCheck.assert(
      FastCheck.property(segments, separator, (segments, separator) => {
        const path = parse(segments)
        assert.strictEqual(parse(LockPath.toInput(path, separator), separator), path)
      }),
      { numRuns: 1000 }
    )
  })

  it("is a string, unless a segment would be torn apart", () => {
    assert.strictEqual(LockPath.toInput(parse("a/b")), "a/b")
    assert.strictEqual(LockPath.toInput(parse("a/b"), "::"), "a::b")
    assert.strictEqual(LockPath.toInput(parse(["50%", "b"])), "50%/b")
    assert.strictEqual(LockPath.toInput(parse(["a/b", "c"]), ":"), "a/b:c")
    assert.strictEqual(LockPath.toInput(LockPath.root), "")
    assert.strictEqual(LockPath.toInput(LockPath.root, ":"), "")
    assert.deepStrictEqual(LockPath.toInput(parse(["a/b", "c"])), ["a/b", "c"])
    // Joined, the segments "a:" and "b" would be read as "a" and ":b".
    assert.deepStrictEqual(LockPath.toInput(parse(["a:", "b"]), "::"), ["a:", "b"])
  })

  it("is shown to people with its segments as they are", () => {
    assert.strictEqual(LockPath.format(parse(["a/b", "50%"]), ":"), "a/b:50%")
    assert.strictEqual(LockPath.format(parse("a/b")), "a/b")
    assert.strictEqual(LockPath.format(LockPath.root), "/")
    assert.strictEqual(LockPath.format(LockPath.root, "::"), "::")
  })
})

describe("a path is refused", () => {
  it("with more than 128 segments", () => {
    const deep = (length: number) => Array.from({ length }, () => "a")
    assert.isTrue(Either.isRight(LockPath.parse(deep(128))))
    assert.isTrue(Either.isRight(LockPath.parse(`/${deep(128).join("//")}/`)))
    assert.strictEqual(problem(deep(129)), "it has 129 segments; at most 128 are allowed")
    assert.strictEqual(problem(deep(129).join("/")), "it has 129 segments; at most 128 are allowed")
  })

  it("with more than 1,024 bytes of UTF-8 when encoded", () => {
    const cases: ReadonlyArray<readonly [fits: ReadonlyArray<string>, tooLong: ReadonlyArray<string>]> = [
      [["x".repeat(1023)], ["x".repeat(1024)]],
      [
        ["a", "x".repeat(1021)],
        ["a", "x".repeat(1022)]
      ],
      [["é".repeat(511)], ["é".repeat(512)]],
      [["日".repeat(341)], ["日".repeat(341), "a"]],
      [
        ["😀".repeat(255), "xy"],
        ["😀".repeat(255), "xyz"]
      ],
      [["/".repeat(341)], ["/".repeat(342)]],
      [["%".repeat(341)], ["%".repeat(342)]]
    ]
    for (const [fits, tooLong] of cases) {
      assert.isAtMost(bytes(parse(fits)), 1024)
      assert.match(problem(tooLong), /^it takes 10\d\d bytes when encoded; at most 1024 are allowed/)
    }
    assert.strictEqual(bytes(parse(["😀".repeat(255), "xy"])), 1024)
    assert.include(problem(["a", "x".repeat(2000), "b"]), "it takes 2005 bytes when encoded")
    assert.include(problem(["a", "x".repeat(2000), "b"]), "segment 2 is the longest")
  })

  it("by its length in bytes and nothing else", () => {
    const long = FastCheck.array(FastCheck.string({ minLength: 1, maxLength: 60, unit: "grapheme" }), {
      minLength: 8,
      maxLength: 60,
      size: "max"
    }).filter((segments) => !segments.some((segment) => segment.includes("\0")))
    FastCheck.assert(
      FastCheck.property(long, (segments) => {
        const encoded = segments.map((segment) => `${segment.replaceAll("%", "%25").replaceAll("/", "%2F")}/`).join("")
        assert.strictEqual(Either.isRight(LockPath.parse(segments)), bytes(encoded) <= 1024)
      })
    )
  })

  it("with NUL", () => {
    assert.strictEqual(problem("a/b\0c"), 'segment 2 ("b\\u0000c") contains NUL')
    assert.include(problem(["\0"]), "contains NUL")
    assert.include(problem("a:\0", ":"), "contains NUL")
  })

  it("with a lone surrogate, and not with a pair", () => {
    for (const lone of ["\ud83d", "\ude00", "\ude00\ud83d", "a\ud83db", "😀\ud83d"]) {
      assert.include(problem(["a", lone]), "segment 2")
      assert.include(problem(["a", lone]), "lone surrogate")
    }
    assert.strictEqual(parse("😀"), "😀/")
  })

  it("as a list with an empty segment", () => {
    assert.strictEqual(problem(["a", "", "b"]), "segment 2 is empty")
    assert.strictEqual(problem([""]), "segment 1 is empty")
  })

  it("when it is neither a string nor a list of strings", () => {
    const notAPath: ReadonlyArray<unknown> = [
      ...[null, undefined, 1, {}, ["a", 1], [null], Symbol("a"), [Symbol("a")], Object.create(null), [["a"]]],
      // biome-ignore lint/suspicious/noSparseArray: that is the point
      [, "a"]
    ]
    for (const input of notAPath) {
      assert.strictEqual(problem(input), "a path is a string or a list of strings (its segments)")
    }
  })

  it("with an error that shows it, though not at any length", () => {
    const error = Either.getOrThrow(Either.flip(LockPath.parse(["x".repeat(5000)])))
    assert.strictEqual(error._tag, "InvalidPath")
    assert.isBelow(error.message.length, 500)
    assert.include(error.message, "xxx")
  })
})

describe("a separator", () => {
  it("is one or more characters, without the per cent sign and NUL", () => {
    for (const separator of ["/", ":", "::", "->", " ", "λ", "😀"]) {
      assert.isUndefined(LockPath.separatorProblem(separator))
    }
    assert.strictEqual(LockPath.separatorProblem(""), "must be one or more characters")
    assert.strictEqual(LockPath.separatorProblem(undefined), "must be one or more characters")
    assert.strictEqual(LockPath.separatorProblem(1), "must be one or more characters")
    assert.include(LockPath.separatorProblem("%"), '"%"')
    assert.include(LockPath.separatorProblem("a%b"), '"%"')
    assert.include(LockPath.separatorProblem("a\0"), "NUL")
    assert.include(LockPath.separatorProblem("\ud83d"), "lone surrogate")
  })
})

describe("of a path as it is written", () => {
  it("the parent is written the same way; the root has none", () => {
    assert.deepStrictEqual(LockPath.parent("a/b/c"), Option.some("a/b"))
    assert.deepStrictEqual(LockPath.parent("/a//b/"), Option.some("a"))
    assert.deepStrictEqual(LockPath.parent("a"), Option.some(""))
    assert.deepStrictEqual(LockPath.parent(["a/b", "c"]), Option.some(["a/b"]))
    assert.deepStrictEqual(LockPath.parent(["a"]), Option.some([]))
    assert.deepStrictEqual(LockPath.parent("a::b:c", "::"), Option.some("a"))
    for (const root of ["", "/", "//", []]) assert.deepStrictEqual(LockPath.parent(root), Option.none())
  })

  it("the ancestors go from the root down to the parent", () => {
    assert.deepStrictEqual(LockPath.ancestors("a/b/c"), ["", "a", "a/b"])
    assert.deepStrictEqual(LockPath.ancestors(["a", "b/c"]), [[], ["a"]])
    assert.deepStrictEqual(LockPath.ancestors("a::b", "::"), ["", "a"])
    assert.deepStrictEqual(LockPath.ancestors("/"), [])
  })

  it("the ancestors are the prefixes of its encoding, whatever the separator", () => {
    FastCheck.assert(
      FastCheck.property(segments, separator, (segments, separator) => {
        const written = LockPath.toInput(parse(segments), separator)
        const prefixes = segments.map((_, depth) => parse(segments.slice(0, depth)))
        const parsed = LockPath.ancestors(written, separator).map((ancestor) => parse(ancestor, separator))
        assert.deepStrictEqual(parsed, prefixes)
      }),
      { numRuns: 1000 }
    )
  })

  it("joined ones are parsed as their segments in a row, whatever the separator", () => {
    FastCheck.assert(
      FastCheck.property(segments, segments, separator, (above, below, separator) => {
        const [first, second] = [above, below].map((part) => LockPath.toInput(parse(part), separator)) as [never, never]
        assert.strictEqual(parse(LockPath.join([first, second], separator), separator), parse([...above, ...below]))
      }),
      { numRuns: 1000 }
    )
  })

  it("joined ones are a string where a string can say it", () => {
    assert.strictEqual(LockPath.join(["/a/", "b//c", ["d"]]), "a/b/c/d")
    assert.strictEqual(LockPath.join([]), "")
    assert.deepStrictEqual(LockPath.join(["a", ["b/c"]]), ["a", "b/c"])
    assert.deepStrictEqual(LockPath.join(["a:", "b"], "::"), ["a:", "b"])
  })
})
