//! Several processes append to one chain, each in its turn.

use super::*;

/// What two processes do, here with two chains over one place.
#[test]
fn those_who_append_in_turn_make_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(&dir, 2500);
    let two = [Chain::open(place.clone()).unwrap(), Chain::open(place.clone()).unwrap()];
    let numbers: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let one = |chain| move || (0..100).map(|n| append(chain, &format!("a-{n}"))).collect();
        let threads = two.each_ref().map(|chain| scope.spawn(one(chain)));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(numbers.iter().all(|of_one| of_one.is_sorted()));
    let mut all: Vec<u64> = numbers.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (1..=200).collect::<Vec<_>>(), "each line has a number of its own");
    assert_eq!((whole(&place).count, paths(&place).len() > 5), (200, true));
}

#[test]
fn what_another_process_left_unfinished_is_cut_off_or_taken_up_in_the_next_turn() {
    for lines in [1, 3, 4] {
        let (_dir, place) = written(lines);
        let chain = Chain::open(place.clone()).unwrap();
        let last = paths(&place).pop().unwrap();
        let kept = fs::read(&last).unwrap();
        fs::write(&last, [&kept[..], b"{\"seq\""].concat()).unwrap();
        assert_eq!(append(&chain, "after half a line"), lines + 1);
        let head = fs::read(place.head()).unwrap();
        let other = Chain::open(place.clone()).unwrap();
        assert_eq!(append(&other, "a line that its process did not count"), lines + 2);
        // The head is written last, so a process may end before it.
        fs::write(place.head(), head).unwrap();
        assert_eq!(append(&chain, "after a line that nobody counted"), lines + 3);
        drop(other);
        assert_eq!(whole(&place).count, lines + 3);
    }
}

#[test]
fn a_chain_that_was_set_back_while_it_is_open_is_not_gone_on_with() {
    let (_dir, place) = written(5);
    let chain = Chain::open(place.clone()).unwrap();
    let (head, last) = (fs::read(place.head()).unwrap(), paths(&place).pop().unwrap());
    let kept = fs::read(&last).unwrap();
    let before = paths(&place);
    assert_eq!(append(&chain, "gone"), 6);
    paths(&place)
        .iter()
        .filter(|path| !before.contains(path))
        .for_each(|path| fs::remove_file(path).unwrap());
    fs::write(&last, kept).unwrap();
    fs::write(place.head(), head).unwrap();
    assert_eq!(whole(&place).count, 5, "nothing of the files themselves tells");
    assert!(runtime().block_on(chain.append("a-7".to_owned())).is_err());
    assert_eq!(whole(&place).count, 5);
}
