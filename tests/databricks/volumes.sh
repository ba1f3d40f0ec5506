# Runs a command that may `chroot` to ROOT, where everything is as it is here and /Volumes is FOLDER: on Databricks,
# volumes are folders of the machine. Needs a mount namespace: unshare --mount --map-root-user bash volumes.sh …
set -euo pipefail
folder=$1 root=$2
shift 2
mount -t tmpfs tmpfs "$root"
for path in /*; do
  if [[ -L "$path" ]]; then
    cp -P "$path" "$root$path"
  elif [[ -d "$path" ]]; then
    mkdir "$root$path"
    mount --rbind "$path" "$root$path"
  fi
done
mkdir "$root/Volumes"
mount --bind "$folder" "$root/Volumes"
exec "$@"
