use super::*;

fn collect(work: impl FnOnce(&mut dyn FnMut(Block)) -> Dag) -> (Dag, Vec<Block>) {
    let mut blocks = Vec::new();
    let dag = work(&mut |block| blocks.push(block));
    (dag, blocks)
}
