// Package runner builds container images on AWS CodeBuild, in the project of a
// stack that flexbuild's construct deployed.
//
// A [Client] belongs to one stack. [New] reads the stack's outputs, so the name
// of the stack is all that it needs to know:
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	…
//	client, err := runner.New(ctx, cfg, "flexbuild")
//
// A [Request] says what to build and what to call it. Its source is a directory
// or a git repository, in the words of docker build ([ParseSource]) or as a
// [Dir] or a [Git]:
//
//	source, err := runner.ParseSource("https://github.com/org/repo.git#v1.2:api")
//	…
//	result, err := client.Run(ctx, runner.Request{
//		Source: source,
//		Tags:   []string{"app:1.2", "app:latest"},
//	}, runner.WithLogs(os.Stderr))
//
// [Client.Run] starts the build, waits for it and returns the image: the
// result's ImageURI is registry/repository@sha256:…, which means this very image
// for ever. A result without an image is always an error. If the context ends,
// Run stops the build.
//
// # Errors
//
// A request that cannot work is refused with an [ErrInvalidRequest], nearly always
// before anything is sent. A build that ran and ended badly gives a *[BuildError],
// with its id, the phase, the reason, a link to the log and the log's last lines:
//
//	var failed *runner.BuildError
//	switch {
//	case errors.Is(err, runner.ErrTimedOut):
//		…
//	case errors.As(err, &failed):
//		fmt.Println(failed.Reason, failed.LastLines)
//	}
//
// All other errors are about the service: see the Err variables.
//
// # Builds that are not waited for
//
// [Client.Start] returns a [Build] as soon as there is one. It, and
// [Client.Build] for the id of any other build, is the handle for all the rest:
// [Build.Info] is its state, [Build.Wait] waits, [Build.Events] and [Build.Logs]
// tell what happens, [Build.Stop] ends it. [Client.List] goes through the
// project's builds.
//
//	build, err := client.Start(ctx, request)
//	…
//	for event, err := range build.Events(ctx, runner.LogFollow) {
//		…
//	}
//
// A Request's Metadata are labels of the caller's own, by which List finds its
// build again, from any machine. Package batch, below this one, runs many requests.
//
// # What is not lost
//
// A call to AWS can fail in many ways after AWS has acted on it. The client repeats
// each call as long as that can do no harm, within a time limit for every attempt.
// It starts no build twice and loses none: see [Client.Start]. A build that its
// caller does not want any more is stopped, again and again until that works. What
// cannot be known is said, with what would find it: [ErrUnknownStart],
// [ErrLogsIncomplete]. A wait of more than a few seconds gives an [EventNote].
//
// # Polling
//
// CodeBuild has no way to wait, so waiting is polling. A client asks about all
// builds that are waited for together, up to 100 in a call: every 1.25 seconds
// about up to a hundred builds, more rarely about more, every 5 seconds at most.
// One goroutine does so from the first wait to the last. When AWS throttles it, it
// makes fewer calls, and more of them again afterwards.
//
// Five logs at once are read one by one (GetLogEvents), more of them together
// (FilterLogEvents, up to 100 in a call). Lines of logs that are read together come
// about 6 seconds late, in their order. The state of a build never waits for its
// log, and a log that cannot be read to the build's own last line is said to be
// incomplete.
//
// # AWS or the local engine
//
// Which of the two a client talks to is a matter of the aws.Config's endpoint
// and credentials. There is no other difference.
package runner
