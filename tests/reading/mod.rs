//! Reading: every way gives the same, beside the writer, behind it, across runs and past damage.

mod beside_the_writer;
mod chains;
mod cut_under_a_map;
mod damaged;
mod documented;
mod every_way;
mod follower_ends;
mod following;
mod killed_beneath;
mod left_running;
mod paths;
mod readme;
mod through_the_trait;
mod times;
mod ways;
