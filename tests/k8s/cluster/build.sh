#!/usr/bin/env bash
# Builds Kubernetes 1.20 (apiserver, controller-manager, scheduler, kubelet) from Debian 12's source package: the newest that can be had from
# Debian alone, without a registry or a download from elsewhere. As root; 8 minutes on one quiet core, 3 GB of disk while it builds.
#   build.sh FOLDER      the programs go to FOLDER/bin
set -euo pipefail
folder=$(realpath -m "$1")
[[ ! -x $folder/bin/kubelet ]] || exit 0
DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends golang-go dpkg-dev make rsync jq >/dev/null
mkdir -p "$folder"/{bin,source,home,apt/{parts,lists/partial}}
cd "$folder/source"

# An index of sources beside the machine's own settings, which stay as they are.
sed 's/^Types: .*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$folder/apt/parts/source.sources"
apt=(apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$folder/apt/parts" -o "Dir::State::lists=$folder/apt/lists")
"${apt[@]}" update
"${apt[@]}" source --download-only kubernetes
rm -rf tree
dpkg-source --no-check -x kubernetes_1.20*.dsc tree >/dev/null

# What its scripts would ask git for.
cat >"$folder/version" <<'VERSION'
KUBE_GIT_COMMIT='debian'
KUBE_GIT_TREE_STATE='clean'
KUBE_GIT_VERSION='v1.20.2'
KUBE_GIT_MAJOR='1'
KUBE_GIT_MINOR='20'
VERSION
cd tree
mkdir -p .go/src/k8s.io
ln -sfn ../../.. .go/src/k8s.io/kubernetes
export GOPATH=$PWD/.go HOME=$folder/home CGO_ENABLED=0 KUBE_BUILD_PLATFORMS=linux/amd64 KUBE_GIT_VERSION_FILE=$folder/version
# Without the drivers for clouds and for Docker, which are half of the code.
export GOFLAGS=-tags=providerless,dockerless
nice make WHAT="cmd/kube-apiserver cmd/kube-controller-manager cmd/kube-scheduler cmd/kubelet"
cp _output/bin/kube-{apiserver,controller-manager,scheduler} _output/bin/kubelet "$folder/bin"
cd "$folder"
chmod -R u+w source
rm -rf source home apt version
