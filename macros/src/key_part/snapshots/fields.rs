#[automatically_derived]
impl<'a, T: Ord> ::other::KeyPart for Range<'a, T>
where
    T: Copy,
    T: ::other::KeyPart,
{
    fn write_key(&self, key: &mut ::other::KeyWriter) {
        key.open();
        key.item(&self.from);
        key.item(&self.r#in);
        key.close();
    }
}
