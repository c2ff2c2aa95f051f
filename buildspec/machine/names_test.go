package machine

import (
	"net"
	"slices"
	"strings"
)

// serveNames answers the questions of DNS: each registry has the outside's
// address, other names do not exist.
func (o *outside) serveNames(c net.PacketConn) {
	query := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(query)
		if err != nil {
			return
		}
		if answer := o.answer(query[:n]); answer != nil {
			c.WriteTo(answer, from)
		}
	}
}

func (o *outside) answer(query []byte) []byte {
	const header, typeA = 12, 1
	var labels []string
	at := header
	for at < len(query) && query[at] != 0 {
		next := at + 1 + int(query[at])
		if next >= len(query) {
			return nil
		}
		labels = append(labels, string(query[at+1:next]))
		at = next
	}
	end := at + 5 // the end of the name, the type and the class
	if len(query) < end {
		return nil
	}
	answer := slices.Clone(query[:end])
	copy(answer[2:header], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // a response with one question
	host := strings.ToLower(strings.Join(labels, "."))
	if _, ok := o.registries[host]; !ok {
		answer[3] |= 3 // no such name
		return answer
	}
	if query[at+2] == typeA {
		answer[7] = 1
		answer = append(answer, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4)
		address := outsideAddress
		if o.reachable != nil && !slices.Contains(o.reachable, host) {
			address = nowhere
		}
		answer = append(answer, net.ParseIP(address).To4()...)
	}
	return answer
}
