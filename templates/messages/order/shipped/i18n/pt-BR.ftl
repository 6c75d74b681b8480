subject = O seu pedido { $number } está a caminho
preheader = Ele acabou de sair do nosso centro de distribuição.
preheader-date = Previsão de entrega: { $date }.
headline = O seu pedido está a caminho
intro = Boa notícia: o seu pedido { $number } saiu do nosso centro de distribuição e já está a caminho.
parcel-of = Este é o pacote { $parcel } de { $parcels }. Os pacotes podem chegar em dias diferentes.
parcels = { $parcels ->
    [one] Tudo segue em um único pacote.
   *[other] O seu pedido segue em { $parcels } pacotes, que podem chegar em dias diferentes.
}
closing = Falta pouco! Se algo mudar, avisaremos você.
sms = { $shop }: o seu pedido { $number } foi enviado.
sms-date = Entrega prevista: { $date }.
