//! All that a simulated disk holds, and what a loss of power may make of it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::node::{FileNode, FolderNode, Node, NodeId, Place};

/// The folder above all others.
const ROOT: NodeId = 0;

/// Every file and folder. A copy shares what it has in common with the original.
#[derive(Debug, Clone)]
pub struct DiskState {
    nodes: Vec<Arc<Node>>,
}

/// A place whose contents a loss of power decides, and how many versions there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncertainPlace {
    /// The file or folder.
    pub node: NodeId,
    /// Where in it.
    pub place: Place,
    /// How many versions the disk may hold. The last of them is the newest.
    pub versions: usize,
}

impl Default for DiskState {
    fn default() -> Self {
        Self { nodes: vec![Arc::new(Node::Folder(FolderNode::default()))] }
    }
}

impl DiskState {
    /// The node under a path.
    #[must_use]
    pub fn find(&self, path: &Path) -> Option<NodeId> {
        let mut node = ROOT;
        for component in path.components() {
            match component {
                Component::Normal(name) => node = self.folder(node)?.get(&name.to_string_lossy())?,
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => return None,
            }
        }
        Some(node)
    }

    /// A node that is a folder.
    #[must_use]
    pub fn folder(&self, node: NodeId) -> Option<&FolderNode> {
        match &**self.nodes.get(node)? {
            Node::Folder(folder) => Some(folder),
            Node::File(_) => None,
        }
    }

    /// A node that is a file.
    #[must_use]
    pub fn file(&self, node: NodeId) -> Option<&FileNode> {
        match &**self.nodes.get(node)? {
            Node::File(file) => Some(file),
            Node::Folder(_) => None,
        }
    }

    /// A node that is a file, to be changed.
    pub fn file_mut(&mut self, node: NodeId) -> Option<&mut FileNode> {
        match Arc::make_mut(self.nodes.get_mut(node)?) {
            Node::File(file) => Some(file),
            Node::Folder(_) => None,
        }
    }

    /// A node that is a folder, to be changed.
    pub fn folder_mut(&mut self, node: NodeId) -> Option<&mut FolderNode> {
        match Arc::make_mut(self.nodes.get_mut(node)?) {
            Node::Folder(folder) => Some(folder),
            Node::File(_) => None,
        }
    }

    /// The folder above a path, and the last name of the path.
    ///
    /// # Errors
    /// `NotFound` where there is no such folder.
    pub fn parent(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
        let parent = self.find(path.parent().unwrap_or(Path::new("/"))).ok_or(io::ErrorKind::NotFound)?;
        self.folder(parent).ok_or(io::ErrorKind::NotADirectory)?;
        Ok((parent, name))
    }

    /// Puts a new node under a path.
    ///
    /// # Errors
    /// `AlreadyExists`, or `NotFound` where there is no folder above it.
    pub fn create(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let (parent, name) = self.parent(path)?;
        if self.folder(parent).is_some_and(|folder| folder.get(&name).is_some()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = self.nodes.len();
        self.nodes.push(Arc::new(node));
        self.set_name(parent, &name, Some(id));
        Ok(id)
    }

    /// Puts a node under a name in a folder, or takes the name away.
    pub fn set_name(&mut self, folder: NodeId, name: &str, node: Option<NodeId>) {
        if let Some(folder) = self.folder_mut(folder) {
            folder.set(name, node);
        }
    }

    /// Every node that has a name, or may have one after a loss of power.
    fn possible_nodes(&self) -> Vec<NodeId> {
        let mut seen = vec![false; self.nodes.len()];
        let mut waiting = vec![ROOT];
        let mut found = Vec::new();
        while let Some(node) = waiting.pop() {
            let Some(seen) = seen.get_mut(node).filter(|seen| !**seen) else { continue };
            *seen = true;
            found.push(node);
            waiting.extend(self.nodes.get(node).map(|node| node.possible_nodes()).unwrap_or_default());
        }
        found.sort_unstable();
        found
    }

    /// Every place whose contents a loss of power decides, in a fixed order.
    #[must_use]
    pub fn uncertain_places(&self) -> Vec<UncertainPlace> {
        let mut places = Vec::new();
        for node in self.possible_nodes() {
            if let Some(found) = self.nodes.get(node) {
                found.places(|place, versions| places.push(UncertainPlace { node, place, versions }));
            }
        }
        places
    }

    /// What a loss of power leaves where it chooses the version `choice[i]` in the place `i` of
    /// [`DiskState::uncertain_places`]; the newest where nothing is chosen. Everything is certain then.
    #[must_use]
    pub fn after_power_loss(&self, choice: &[usize]) -> Self {
        let mut nodes = self.nodes.clone();
        let mut choices = choice.iter();
        for id in self.possible_nodes() {
            let Some(node) = nodes.get_mut(id).filter(|node| !node.is_certain()) else { continue };
            *node = Arc::new(node.after_power_loss(|versions| choices.next().copied().unwrap_or(versions - 1)));
        }
        Self { nodes }
    }

    /// Every file that has a name.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, NodeId)> {
        let mut found = Vec::new();
        let mut waiting = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, node)) = waiting.pop() {
            match self.folder(node) {
                Some(folder) => waiting.extend(folder.names().map(|(name, node)| (path.join(name), node))),
                None => found.push((path, node)),
            }
        }
        found.sort();
        found
    }

    /// A hash over names, lengths and bytes as a process sees them. States with equal hashes are
    /// taken for equal.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash_node(ROOT, &mut hasher);
        hasher.finish()
    }

    fn hash_node(&self, node: NodeId, hasher: &mut DefaultHasher) {
        match self.nodes.get(node).map(|node| &**node) {
            Some(Node::Folder(folder)) => {
                for (name, node) in folder.names() {
                    name.hash(hasher);
                    self.hash_node(node, hasher);
                }
                hasher.write_u8(0);
            }
            Some(Node::File(file)) => {
                hasher.write_u64(file.len());
                for (index, sector) in file.sectors().iter().enumerate().filter(|(_, sector)| !sector.is_zero()) {
                    hasher.write_usize(index);
                    hasher.write_u64(sector.hash());
                }
                file.unreadable().for_each(|index| hasher.write_usize(index));
                hasher.write_u8(1);
            }
            None => {}
        }
    }
}
