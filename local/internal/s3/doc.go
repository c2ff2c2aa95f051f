// Package s3 is the local engine's S3: buckets and objects, persistent, over
// REST-XML.
//
//	service, err := s3.New(s3.Options{Store: db, Clock: clock, Region: "us-east-1", IAM: iam, Dir: dir})
//	err = service.AddBucket("flexbuild-source")
//	object, err := service.Open(ctx, "flexbuild-source", "sources/app.zip")
//
// The service sits behind package wire, which verifies signatures and requires
// permissions; handler.go is the table of its operations. An
// object's bytes are a file with a random name, so that a key is never part of
// a path; what is known of it is in the store. A new object is complete on disk
// before its key points at it, and files that nothing points at are removed
// when the engine starts.
//
// It is written by hand: docs/adr/0006-by-hand.md.
//
// A bucket with versioning keeps the versions of an object in the entry of its
// key (versions.go). Objects lie unencrypted: the encryption of buckets and
// objects is kept and reported, as S3 reports it (encryption.go).
//
// Lifecycle expiry is applied when the engine starts: objects older than their
// rule's days go.
package s3
