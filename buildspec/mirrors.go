package buildspec

// DockerHubMirrors returns the mirrors of Docker Hub that builds use where nobody
// names others, in order. None of them asks for an account.
//
// public.ecr.aws/docker is AWS's own copy of the Docker Official Images and holds
// nothing else. mirror.gcr.io is Google's cache of Docker Hub, a best effort: it
// has the rest, BuildKit's own image and the docker/dockerfile frontend among it.
func DockerHubMirrors() []string {
	return []string{"public.ecr.aws/docker", "mirror.gcr.io"}
}
