// Package envelope is what the actor systems of two nodes say to each other: a
// Request with messages for actors of one node, and the Answer with a Receipt
// for each of them. A Window tells requests that are new from repeated ones.
//
// A node appends a Request, its transport carries the bytes; the other node
// parses them, hands the bodies to its actors, and sends an Answer back. Bodies
// stay bytes here: the codecs of the actors know what is in them.
//
// It does no I/O, knows no actors and keeps no memory of what it parsed: texts
// and bodies of a parsed value lie in the bytes that it was parsed from.
//
// Format, numbers as minimal unsigned varints (encoding/binary), str and bytes
// with their length before them:
//
//	request = 0x01 mode:byte line:8 bytes seq settled patience(ms) n n*message
//	message = id:str type:str answer:str lane:byte hops:byte body:bytes
//	answer  = 0x01 n n*(outcome:byte text:str body:bytes)
//
// Nothing may follow. A change of this format is a new first byte.
package envelope
