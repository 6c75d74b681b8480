subject = Your order { $number } is on its way
preheader = It has just left our warehouse.
preheader-date = Expected to arrive on { $date }.
headline = Your order is on its way
intro = Good news: your order { $number } has left our warehouse and is travelling to you.
parcel-of = This is parcel { $parcel } of { $parcels }. The parcels may arrive on different days.
parcels = { $parcels ->
    [one] Everything travels in one parcel.
   *[other] Your order travels in { $parcels } parcels, which may arrive on different days.
}
closing = If anything changes, you’ll hear from us.
sms = { $shop }: your order { $number } is on its way.
sms-date = Expected: { $date }.
