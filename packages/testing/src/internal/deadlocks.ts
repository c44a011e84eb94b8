/** Nested requests that close a cycle, and some that only look like it. One per line: its name and its steps, in the notation of `Conformance`. */
export const deadlocks: string = `
two readers upgrade: +1 ra =g; +2 ra =g; +3 wa <1 =w; +4 wa <2 =d; -2 =3
one reader upgrades, the other just reads: +1 ra =g; +2 ra =g; +3 wa <1 =w; +4 ra/b <2 =g; -4; -2 =3
opposite order: +1 wa =g; +2 wb =g; +3 wb <1 =w; +4 wa <2 =d; -2 =3
three in a ring: +1 wa =g; +2 wb =g; +3 wc =g; +4 rb/x <1 =w; +5 rc/x <2 =w; +6 Wa <3 =d; -3 =5; -5; -2 =4
parent and child cross: +1 Wa =g; +2 wa/b =g; +3 wa/b/c <1 =w; +4 wa <2 =d; -2 =3
an outside waiter does not make a cycle: +1 ra =g; +2 wa =w; +3 ra/b <1 =g; -3; -1 =2
`
