// Package runner builds container images on AWS CodeBuild, in the project that
// flexbuild's construct has deployed.
//
// A [Client] belongs to one stack. [New] reads the stack's outputs, so it needs
// no more than the stack's name:
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	…
//	client, err := runner.New(ctx, cfg, "flexbuild")
//
// A [Request] describes what to build and how to name it. Its source is a
// directory ([Dir]), a git repository ([Git]), a file system ([FS]) or an
// archive ([Tar]). [ParseSource] parses the first two as docker build does:
//
//	source, err := runner.ParseSource("https://github.com/org/repo.git#v1.2:api")
//	…
//	result, err := client.Run(ctx, runner.Request{
//		Source: source,
//		Tags:   []string{"app:1.2", "app:latest"},
//	}, runner.WithLogs(os.Stderr))
//
// [Client.Run] starts the build, waits for it and returns the image. The
// result's ImageURI is registry/repository@sha256:…, which names exactly this
// image. A result without an image always comes with an error. If the context
// ends, Run stops the build.
//
// # Errors
//
// A request that cannot work returns an [ErrInvalidRequest], nearly always
// before anything is sent. A build that did not succeed returns a *[BuildError]
// with its id, the phase, the reason, a link to the log and the log's last
// lines:
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
// # Handles
//
// [Client.Start] starts a build and returns a [Build] without waiting.
// [Client.Build] returns a Build for any id. The methods of a Build read its
// state ([Build.Info]), wait for it ([Build.Wait]), iterate over its events and
// its log ([Build.Events], [Build.Logs]) and stop it ([Build.Stop]).
// [Client.List] iterates over the project's builds.
//
//	build, err := client.Start(ctx, request)
//	…
//	for event, err := range build.Events(ctx, runner.LogFollow) {
//		…
//	}
//
// The Metadata of a Request are labels by which List finds the build again,
// from any machine. Package batch, below this one, runs many requests.
//
// # Reliability
//
// A call to AWS can fail after AWS has acted on it. The client repeats each
// call as long as that can do no harm, with a time limit for every attempt. It
// starts no build twice and loses none: see [Client.Start]. It repeats the stop
// of a build until the stop succeeds. If something cannot be known, the error
// says so: [ErrUnknownStart], [ErrLogsIncomplete]. A wait of more than a few
// seconds emits an [EventNote].
//
// # Polling
//
// CodeBuild has no call that waits, so the client polls. It polls all builds
// that are waited for together, up to 100 in a call: every 1.25 seconds for up
// to a hundred builds, less often for more, and at least every 5 seconds as far
// as the quota allows. One goroutine does so from the first wait to the last.
// If AWS throttles the calls, the client slows down, and speeds up again
// afterwards.
//
// Up to five logs are read one by one (GetLogEvents), more of them together
// (FilterLogEvents, up to 100 in a call). Lines of logs that are read together
// come about 6 seconds late, in their order. The state of a build never waits
// for its log. A log that could not be read up to the build's own last line is
// reported as incomplete.
//
// # AWS or the local engine
//
// The endpoint and the credentials of the aws.Config decide whether a client
// uses AWS or the local engine. There is no other difference.
//
// # Compatibility
//
// The exported API is covered by the compatibility promise of the module, which
// package flexbuild states.
package runner
