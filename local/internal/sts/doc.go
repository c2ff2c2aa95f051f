// Package sts is the local engine's Security Token Service: it reports to
// callers who they are, and lets them act as roles.
package sts
