package wire

import "strconv"

// Version is the protocol version of this package, the first item of every
// message.
const Version = 1

// ALPN is the protocol's name in the TLS handshake (RFC 7301).
const ALPN = "atrium/1"

// ALPNTCP is its name over TCP, where records carry the streams.
const ALPNTCP = "atrium/1-tcp"

// Kind tells messages apart: the second item of every message.
type Kind uint8

// firstUnsequenced is the first kind without a run and a sequence: those below,
// of later versions too, can be rejected and acked.
const firstUnsequenced Kind = 16

// firstOptional is the first kind that a reader which does not know it skips.
const firstOptional Kind = 128

// IsFrame says whether a message is a frame, plain or packed.
func (k Kind) IsFrame() bool { return k == KindFrame || k == KindPacked }

// Optional says whether a message of a kind that is not known here is skipped
// and counted, rather than an error.
func (k Kind) Optional() bool { return k >= firstOptional }

// The kinds of version 1.
const (
	KindFrame   Kind = 1
	KindGap     Kind = 2
	KindPacked  Kind = 3 // a frame whose blocks are compressed
	KindHello   Kind = 16
	KindWelcome Kind = 17
	KindLane    Kind = 18
	KindSchema  Kind = 19
	KindClock   Kind = 20
	KindBind    Kind = 21
	KindAck     Kind = 22
	KindReject  Kind = 23
	KindCredit  Kind = 24
	KindCommand Kind = 25
	KindResult  Kind = 26
	KindSettled Kind = 27

	KindNodes    Kind = 28
	KindRedirect Kind = 29
	KindLater    Kind = 30
	KindAskTime  Kind = 31
	KindTime     Kind = 32
)

func (k Kind) String() string {
	return name(k, "frame", KindFrame, "gap", KindGap, "packed frame", KindPacked, "hello", KindHello, "welcome", KindWelcome,
		"lane", KindLane, "schema", KindSchema, "clock", KindClock, "bind", KindBind, "ack", KindAck,
		"reject", KindReject, "credit", KindCredit,
		"command", KindCommand, "result", KindResult, "settled", KindSettled,
		"nodes", KindNodes, "redirect", KindRedirect, "later", KindLater, "ask-time", KindAskTime, "time", KindTime)
}

// Class is what a run carries.
type Class uint8

// The classes of runs.
const (
	Telemetry Class = 1
	Events    Class = 2
)

func (c Class) String() string { return name(c, "telemetry", Telemetry, "events", Events) }

// RunState is how a gateway left a run.
type RunState uint8

// A run is unclean if its process ended without closing it: sequences after
// the last committed one may have existed.
const (
	RunOpen    RunState = 0
	RunClosed  RunState = 1
	RunUnclean RunState = 2
)

func (s RunState) String() string {
	return name(s, "open", RunOpen, "closed", RunClosed, "unclean", RunUnclean)
}

// Lane is one of the two streams that carry runs.
type Lane uint8

// Live carries the open runs, backlog the closed ones.
const (
	LaneLive    Lane = 1
	LaneBacklog Lane = 2
)

func (l Lane) String() string { return name(l, "live", LaneLive, "backlog", LaneBacklog) }

// GapReason says why frames of a run will never come.
type GapReason uint8

// The reasons of gap frames.
const (
	GapQuota    GapReason = 1 // dropped by the buffer's policy
	GapRejected GapReason = 2 // refused by the gate, kept in the edge's quarantine
	GapCorrupt  GapReason = 3 // the stored segment failed its CRC
	GapCrash    GapReason = 4 // sampled, but not committed when the edge crashed
)

func (r GapReason) String() string {
	return name(r, "quota", GapQuota, "rejected", GapRejected, "corrupt", GapCorrupt, "crash", GapCrash)
}

// RejectReason says why the gate did not take a frame.
type RejectReason uint8

// The reasons of reject messages.
const (
	RejectCRC             RejectReason = 1
	RejectMalformed       RejectReason = 2
	RejectUnknownSchema   RejectReason = 3
	RejectUnknownClock    RejectReason = 4
	RejectLimit           RejectReason = 5
	RejectForeignRun      RejectReason = 6 // the run is another gateway's
	RejectUnsupportedKind RejectReason = 7
)

func (r RejectReason) String() string {
	return name(r, "crc", RejectCRC, "malformed", RejectMalformed, "unknown-schema", RejectUnknownSchema,
		"unknown-clock", RejectUnknownClock, "limit", RejectLimit, "foreign-run", RejectForeignRun,
		"unsupported-kind", RejectUnsupportedKind)
}

// CloseCode is the QUIC application error code that ends a connection.
type CloseCode uint64

// The codes that end a connection.
const (
	CloseBye         CloseCode = 0
	CloseProtocol    CloseCode = 1
	CloseVersion     CloseCode = 2
	CloseIdentity    CloseCode = 3
	CloseForeignSite CloseCode = 4
	CloseBusy        CloseCode = 5
	CloseShutdown    CloseCode = 6
	CloseSuperseded  CloseCode = 7
	CloseInternal    CloseCode = 8
)

func (c CloseCode) String() string {
	return name(c, "bye", CloseBye, "protocol", CloseProtocol, "version", CloseVersion,
		"identity", CloseIdentity, "foreign-site", CloseForeignSite, "busy", CloseBusy,
		"shutdown", CloseShutdown, "superseded", CloseSuperseded, "internal", CloseInternal)
}

// ClockSource says where a clock mapping comes from, worst first.
type ClockSource uint8

// The sources of clock mappings.
const (
	ClockNone    ClockSource = 0 // estimated: no clock was ever synchronised
	ClockSystem  ClockSource = 1 // the system's synchronised clock
	ClockWelcome ClockSource = 2 // learned from a gate's welcome
)

func (s ClockSource) String() string {
	return name(s, "none", ClockNone, "system", ClockSystem, "welcome", ClockWelcome)
}

// name finds v in a list of pairs (text, value).
func name[T ~uint8 | ~uint64](v T, pairs ...any) string {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == any(v) {
			return pairs[i].(string)
		}
	}
	return "unknown(" + strconv.FormatUint(uint64(v), 10) + ")"
}
